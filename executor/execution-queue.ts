import PQueue from "p-queue";
import type { ExecutionEvent } from "#contract/events.ts";
import type { ExecuteRequest } from "#contract/execution.ts";
import { Execution, type ExecutionContext } from "./execution.ts";

/** Runs executions one at a time, in the order in which they came. */
export class ExecutionQueue {
  readonly #context: ExecutionContext;
  readonly #queue = new PQueue({ concurrency: 1 });
  #running: Execution | undefined;
  #count = 0;

  constructor(context: ExecutionContext) {
    this.#context = context;
  }

  /** How many executions have begun so far. */
  get count(): number {
    return this.#count;
  }

  /**
   * Runs code when its turn has come.
   *
   * @param emit gets every event of the run in order; the last one is the outcome.
   * @param signal aborts when nobody wants the result any more: the run is interrupted, or not begun at all.
   */
  async run(
    request: ExecuteRequest,
    { emit, signal }: { emit: (event: ExecutionEvent) => void; signal: AbortSignal },
  ): Promise<void> {
    const execution = new Execution(request, this.#context, { emit, signal });
    // The slot is taken until `run` has settled, that is until the kernel is idle again: with the queue's own
    // `timeout` or `signal` the next cell would begin while this one still runs.
    await this.#queue.add(async () => {
      this.#count += 1;
      this.#running = execution;
      try {
        await execution.run();
      } finally {
        this.#running = undefined;
      }
    });
  }

  /** Interrupts the running execution. */
  interrupt(): "interrupting" | "idle" {
    if (this.#running === undefined) return "idle";
    this.#running.interrupt();
    return "interrupting";
  }

  /** Resolves when nothing runs or waits. */
  async drained(): Promise<void> {
    await this.#queue.onIdle();
  }
}
