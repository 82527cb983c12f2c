import type { Executor } from "./executor.ts";

/**
 * An engine that starts ended containers again by itself doubles its delay from 0.1 s up to a minute, until a container
 * has run for this long. Source: Moby, `restartmanager`.
 */
const LONG_RUN_MS = 10_000;

/** From 3.2 s on, which this many short runs lead to, the delays cost more than one longer run does. */
const MAX_SHORT_RUNS = 5;

interface Run {
  startedAt: number;
  /** How many short runs came directly before it. */
  shortRuns: number;
}

/** Keeps the resets of executors whose containers the engine starts again by itself from becoming slower and slower. */
export class RestartPace {
  readonly #runs = new WeakMap<Executor, Run>();

  /** How many milliseconds to wait at `now` until an executor's process is ended. */
  waitMs(executor: Executor, now: number): number {
    const run = this.#runs.get(executor);
    if (!run || run.shortRuns < MAX_SHORT_RUNS) return 0;
    return Math.max(run.startedAt + LONG_RUN_MS - now, 0);
  }

  /** An executor's process was ended and another one answers. */
  restarted(executor: Executor, { endedAt, startedAt }: { endedAt: number; startedAt: number }): void {
    const last = this.#runs.get(executor);
    const wasShort = last !== undefined && endedAt - last.startedAt < LONG_RUN_MS;
    this.#runs.set(executor, { startedAt, shortRuns: wasShort ? last.shortRuns + 1 : 0 });
  }
}
