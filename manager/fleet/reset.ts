import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "#contract/errors.ts";
import type { Backend } from "./backend.ts";
import type { Executor } from "./executor.ts";
import type { Fleet } from "./fleet.ts";
import { RestartPace } from "./restart-pace.ts";

const POLL_INTERVAL_MS = 20;

export interface ResetOptions {
  reason: string;
  /** What has to be done before anything is cleared, however long that takes. */
  first?: (signal: AbortSignal) => Promise<void>;
  /** Resolves when nothing of the last session is under way; left out when nothing was. */
  settled?: () => Promise<void>;
}

/** Clears executors of everything that a session left in them. */
export class Resetter {
  readonly #fleet: Fleet;
  readonly #backend: Backend;
  readonly #timeoutMs: number;
  readonly #stop: AbortSignal;
  readonly #pace = new RestartPace();

  /** `timeoutMs` is what one way of resetting may take. `stop` gives every reset up and leaves states alone. */
  constructor(fleet: Fleet, backend: Backend, { timeoutMs, stop }: { timeoutMs: number; stop: AbortSignal }) {
    this.#fleet = fleet;
    this.#backend = backend;
    this.#timeoutMs = timeoutMs;
    this.#stop = stop;
  }

  /**
   * Makes an executor clean and free again. It never rejects: one that does not come back is replaced where the backend
   * can do that, and becomes `unhealthy` otherwise; the prober goes on with it.
   */
  async reset(executor: Executor, { reason, first, settled }: ResetOptions): Promise<void> {
    this.#fleet.changeState(executor, { name: "resetting", reason });
    const { lostSignal } = executor;
    const givenUp = AbortSignal.any([lostSignal, this.#stop]);
    try {
      await first?.(givenUp);
      if (executor.reset === "container") await this.#resetContainer(executor, givenUp, settled);
      else await this.#resetKernel(executor, this.#bounded(givenUp), settled);
      if (executor.state.name === "resetting") this.#fleet.changeState(executor, { name: "free" });
    } catch (error) {
      // An executor that was lost meanwhile is the prober's, and may be well again.
      if (givenUp.aborted) return;
      this.#fleet.markLost(executor.number, { reason: `the reset failed: ${errorText(error)}` });
    }
  }

  #bounded(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([AbortSignal.timeout(this.#timeoutMs), signal]);
  }

  async #resetKernel(executor: Executor, signal: AbortSignal, settled?: () => Promise<void>): Promise<void> {
    await restartKernel(executor, signal);
    if (settled) {
      // The restart may have overtaken a request of the last session, which then ran on the fresh kernel.
      await settled();
      await restartKernel(executor, signal);
    }
    executor.bootId = (await executor.client.health(signal)).boot_id;
  }

  async #resetContainer(
    executor: Executor,
    givenUp: AbortSignal,
    settled?: () => Promise<void>,
  ): Promise<void> {
    if (settled) {
      // What runs ends with an outcome and what it printed, which a container that goes takes along.
      await executor.client.restart(this.#bounded(givenUp)).catch(() => undefined);
      await settled();
    }
    try {
      await this.#restartContainer(executor, this.#bounded(givenUp));
    } catch (error) {
      if (!this.#backend.replace || givenUp.aborted) throw error;
      const signal = this.#bounded(givenUp);
      await this.#backend.replace(executor.number, signal);
      await untilStartedAnew(executor, signal);
    }
  }

  async #restartContainer(executor: Executor, signal: AbortSignal): Promise<void> {
    if (this.#backend.restart) {
      await this.#backend.restart(executor.number, signal);
      return await untilStartedAnew(executor, signal);
    }
    await delay(this.#pace.waitMs(executor, performance.now()), undefined, { signal });
    const endedAt = performance.now();
    await executor.client.exit(signal);
    await untilStartedAnew(executor, signal);
    this.#pace.restarted(executor, { endedAt, startedAt: performance.now() });
  }
}

/** Restarts the kernel, takes the last session's environment away, and polls `/ready`. */
async function restartKernel(executor: Executor, signal: AbortSignal): Promise<void> {
  await executor.client.restart(signal, { env: {} });
  await untilReady(executor, signal);
}

async function untilReady({ client }: Executor, signal: AbortSignal): Promise<void> {
  while (!(await client.ready(signal)).ready) await delay(POLL_INTERVAL_MS, undefined, { signal });
}

/**
 * Waits until another process answers in the executor's place and its kernel is ready. One that gives no boot id is taken
 * for another as soon as it answers: its backend has seen to it that it was started again.
 */
async function untilStartedAnew(executor: Executor, signal: AbortSignal): Promise<void> {
  const last = executor.bootId;
  let reason = "it does not answer";
  try {
    for (;;) {
      const health = await executor.client
        .health(signal)
        .catch((error: unknown) => void (reason = errorText(error)));
      if (health && (last === undefined || health.boot_id !== last)) {
        await untilReady(executor, signal);
        executor.bootId = health.boot_id;
        return;
      }
      if (health) reason = "the old process still answers";
      await delay(POLL_INTERVAL_MS, undefined, { signal });
    }
  } catch (error) {
    throw new Error(`its container did not come back: ${reason}`, { cause: error });
  }
}
