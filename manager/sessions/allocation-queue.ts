import { ServiceError } from "#contract/errors.ts";
import type { Executor } from "#manager/fleet/executor.ts";

/** What a client waits for. */
export interface Wish<T> {
  matches: (executor: Executor) => boolean;
  /** Claims the executor. */
  take: (executor: Executor) => T;
  /** Whether what another client took of a matching executor serves this one too. */
  shares?: boolean;
}

interface Waiter<T> extends Wish<T> {
  resolve: (taken: T) => void;
  reject: (reason: unknown) => void;
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
   * @throws {ServiceError} `too_many_waiting`, or what {@link refuse} gives; or the signal's reason
   */
  wait(wish: Wish<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#waiters.size >= this.#maxWaiting) {
      const detail = `${this.#waiters.size} clients wait for an executor already`;
      throw new ServiceError("too_many_waiting", detail, { retryAfter: 1 });
    }
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter<T> = { ...wish, resolve, reject };
    const abort = () => {
      this.#waiters.delete(waiter);
      reject(signal.reason);
    };
    this.#waiters.add(waiter);
    signal.addEventListener("abort", abort, { once: true });
    return promise.finally(() => signal.removeEventListener("abort", abort));
  }

  /**
   * Gives a free executor to the first waiter that it suits, if there is one, and to those who share it. Who cannot
   * take it is told why, and the next one gets it.
   */
  offer(executor: Executor): void {
    for (const waiter of this.#waiters) {
      if (!waiter.matches(executor)) continue;
      this.#waiters.delete(waiter);
      try {
        const taken = waiter.take(executor);
        waiter.resolve(taken);
        for (const sharer of this.#sharersOf(executor)) sharer.resolve(taken);
        return;
      } catch (error) {
        waiter.reject(error);
      }
    }
  }

  /** Sends away those who wait for this very executor. */
  refuse(executor: Executor, reason: ServiceError): void {
    for (const sharer of this.#sharersOf(executor)) sharer.reject(reason);
  }

  /** Sends away all who wait. */
  clear(reason: ServiceError): void {
    for (const waiter of this.#waiters) waiter.reject(reason);
    this.#waiters.clear();
  }

  #sharersOf(executor: Executor): Waiter<T>[] {
    const sharers = [...this.#waiters].filter(({ shares, matches }) => shares === true && matches(executor));
    for (const sharer of sharers) this.#waiters.delete(sharer);
    return sharers;
  }
}
