import PQueue from "p-queue";
import { newSessionId, type ExecutorNumber, type SessionId } from "#contract/ids.ts";
import { ServiceError } from "#contract/errors.ts";

/** A client's claim on one executor and on its kernel's state. Its id is never used again once it has ended. */
export class Session {
  readonly id: SessionId = newSessionId();
  readonly executorNumber: ExecutorNumber;
  readonly idleTimeoutMs: number;
  #lastUsedAt = Date.now();
  #uses = 0;
  readonly #unused = new Set<() => void>();
  readonly #cut = new AbortController();
  #endReason: string | undefined;
  /** Orders the executions. A slot stays taken until its run has ended, whatever became of the client. */
  readonly #queue = new PQueue({ concurrency: 1 });
  readonly #maxQueued: number;

  constructor(executorNumber: ExecutorNumber, options: { idleTimeoutMs: number; maxQueued: number }) {
    this.executorNumber = executorNumber;
    this.idleTimeoutMs = options.idleTimeoutMs;
    this.#maxQueued = options.maxQueued;
  }

  get endReason(): string | undefined {
    return this.#endReason;
  }

  /** Executions that wait for their turn. */
  get queued(): number {
    return this.#queue.size;
  }

  /** When the session ends if it stays idle; milliseconds since the epoch. */
  get expiresAt(): number {
    return this.#lastUsedAt + this.idleTimeoutMs;
  }

  /** Aborted when the session has ended and what ran in it must not be waited for any longer. */
  get cutSignal(): AbortSignal {
    return this.#cut.signal;
  }

  /** Whether something runs, waits or streams in it. */
  get isInUse(): boolean {
    return this.#uses > 0;
  }

  isIdle(now: number): boolean {
    return !this.isInUse && now >= this.expiresAt;
  }

  end(reason: string): void {
    this.#endReason ??= reason;
  }

  /** @throws {ServiceError} `session_ended` */
  assertOpen(): void {
    if (this.#endReason !== undefined) throw sessionEnded(this.id, this.#endReason);
  }

  /** Keeps the session from counting as idle until the returned handle is disposed of. */
  use(): Disposable {
    this.#uses += 1;
    return {
      [Symbol.dispose]: () => {
        this.#uses -= 1;
        this.#lastUsedAt = Date.now();
        if (!this.isInUse) for (const resolve of this.#unused) resolve();
      },
    };
  }

  /** Resolves when nothing of the ended session is under way; what takes longer than `graceMs` is cut off. */
  async settle(graceMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#unused.add(resolve);
    const timer = setTimeout(resolve, graceMs);
    if (!this.isInUse) resolve();
    await promise;
    clearTimeout(timer);
    this.#cut.abort(new Error(`the session has ended: ${this.#endReason}`));
  }

  /**
   * Runs one execution after those that came before it. A client that goes away while it waits gives up its place.
   *
   * @throws {ServiceError} `queue_full`, `session_ended`; or the signal's reason
   */
  async enqueue<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    if (this.#queue.size >= this.#maxQueued) {
      const detail = `${this.#queue.size} executions wait in session ${this.id} already`;
      throw new ServiceError("queue_full", detail, { retryAfter: 1 });
    }
    using _ = this.use();
    // The queue would free the slot of a run whose signal aborts, although it goes on: it knows of the wait alone.
    const waiting = new AbortController();
    const giveUp = () => waiting.abort(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    const start = () => {
      signal.removeEventListener("abort", giveUp);
      signal.throwIfAborted();
      this.assertOpen();
      return run();
    };
    return await this.#queue.add(start, { signal: waiting.signal });
  }

  /** As {@link enqueue}, for a run that is a stream: its place is taken until the stream has ended. */
  async *stream<T>(signal: AbortSignal, run: () => AsyncGenerator<T>): AsyncGenerator<T> {
    const turn = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    const place = this.enqueue(signal, () => {
      turn.resolve();
      return ended.promise;
    });
    place.catch(turn.reject);
    await turn.promise;
    try {
      yield* run();
    } finally {
      ended.resolve();
    }
  }
}

/** The refusal of a session id that is dead for ever. */
export function sessionEnded(id: SessionId, reason: string): ServiceError {
  return new ServiceError("session_ended", `Session ${id} has ended: ${reason}`);
}
