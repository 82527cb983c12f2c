import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "#contract/errors.ts";
import type { Executor } from "./executor.ts";
import type { Fleet } from "./fleet.ts";

const POLL_INTERVAL_MS = 20;

export interface ResetOptions {
  reason: string;
  timeoutMs: number;
  /** Resolves when nothing of the last session is under way; left out when nothing was. */
  settled?: () => Promise<void>;
  /** Gives the reset up and leaves the executor's state alone: the manager stops. */
  signal?: AbortSignal;
}

/**
 * Clears an executor of everything a session left in it and makes it free again. It never rejects: an executor that
 * does not come back clean within `timeoutMs` becomes `unhealthy`, and the prober goes on with it.
 */
export async function resetExecutor(fleet: Fleet, executor: Executor, options: ResetOptions): Promise<void> {
  fleet.changeState(executor, { name: "resetting", reason: options.reason });
  const { lostSignal } = executor;
  const givenUp = options.signal ? AbortSignal.any([lostSignal, options.signal]) : lostSignal;
  const signal = AbortSignal.any([AbortSignal.timeout(options.timeoutMs), givenUp]);
  try {
    await restart(executor, signal);
    if (options.settled) {
      // The restart may have overtaken a request of the last session, which then ran on the fresh kernel.
      await options.settled();
      await restart(executor, signal);
    }
    const { boot_id } = await executor.client.health(signal);
    if (executor.state.name !== "resetting") return;
    executor.bootId = boot_id;
    fleet.changeState(executor, { name: "free" });
  } catch (error) {
    // An executor that was lost meanwhile is the prober's, and may be well again.
    if (!givenUp.aborted) fleet.markLost(executor.number, `the reset failed: ${errorText(error)}`);
  }
}

/** Restarts the kernel and polls `/ready`. Rejects with the signal's reason. */
async function restart(executor: Executor, signal: AbortSignal): Promise<void> {
  await executor.client.restart(signal);
  for (;;) {
    const { ready } = await executor.client.ready(signal);
    if (ready) return;
    await delay(POLL_INTERVAL_MS, undefined, { signal });
  }
}
