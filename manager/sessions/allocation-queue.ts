import { ServiceError } from "#contract/errors.ts";
import type { Executor } from "#manager/fleet/executor.ts";

interface Waiter<T> {
  matches: (executor: Executor) => boolean;
  take: (executor: Executor) => T;
  resolve: (taken: T) => void;
}

/** Clients that wait for an executor, first come first served among those that an executor suits. */
export class AllocationQueue<T> {
  readonly #waiters = new Set<Waiter<T>>();
  readonly #maxWaiting: number;

  constructor(maxWaiting: number) {
    this.#maxWaiting = maxWaiting;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /**
   * Waits for an executor that matches. `take` claims it in the same step in which it is offered, so that one that
   * was offered cannot be claimed twice. A waiter whose signal aborts leaves the queue and is offered nothing more.
   *
   * @throws {ServiceError} `too_many_waiting`; or the signal's reason
   */
  wait(matches: Waiter<T>["matches"], take: Waiter<T>["take"], signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#waiters.size >= this.#maxWaiting) {
      const detail = `${this.#waiters.size} clients wait for an executor already`;
      throw new ServiceError("too_many_waiting", detail, { retryAfter: 1 });
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter<T> = { matches, take, resolve };
    const abort = () => {
      this.#waiters.delete(waiter);
      reject(signal.reason);
    };
    this.#waiters.add(waiter);
    signal.addEventListener("abort", abort, { once: true });
    return promise.finally(() => signal.removeEventListener("abort", abort));
  }

  /** Gives a free executor to the first waiter that it suits, if there is one. */
  offer(executor: Executor): void {
    const waiter = this.#waiters.values().find(({ matches }) => matches(executor));
    if (!waiter) return;
    this.#waiters.delete(waiter);
    waiter.resolve(waiter.take(executor));
  }
}
