import { setTimeout as delay } from "node:timers/promises";
import type { Executor } from "#manager/fleet/executor.ts";
import type { Session } from "./session.ts";

const POLL_INTERVAL_MS = 1_000;
const ANSWER_TIMEOUT_MS = 5_000;

/**
 * Keeps a session that was found again in use for as long as its executor runs something that this manager did not send
 * there: a run goes on without its client, and without the manager that sent it, where its client asked for that.
 */
export async function holdWhileBusy(session: Session, executor: Executor): Promise<void> {
  using _ = session.use();
  const { lostSignal } = executor;
  while (session.state.name === "open" && !lostSignal.aborted) {
    if (!(await isBusy(executor))) return;
    await delay(POLL_INTERVAL_MS, undefined, { signal: lostSignal, ref: false }).catch(() => undefined);
  }
}

/** One that does not tell counts as idle. */
async function isBusy(executor: Executor): Promise<boolean> {
  try {
    const { client, lostSignal } = executor;
    const load = await client.load(AbortSignal.any([lostSignal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]));
    return load?.busy ?? false;
  } catch {
    return false;
  }
}
