import { setTimeout as delay } from "node:timers/promises";

const POLL_INTERVAL_MS = 10;

/** Waits until `attempt` gives a value; fails with what was waited for when the deadline passes first. */
export async function until<T>(
  label: string,
  attempt: () => Promise<T | undefined> | T | undefined,
  deadlineMs = 10_000,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const value = await attempt();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`waited ${deadlineMs} ms in vain until ${label}`);
    await delay(POLL_INTERVAL_MS);
  }
}
