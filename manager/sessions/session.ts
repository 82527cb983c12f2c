import PQueue from "p-queue";
import { newSessionId, type ExecutorNumber, type SessionId } from "#contract/ids.ts";
import { ServiceError } from "#contract/errors.ts";
import { Execution } from "#manager/executions/execution.ts";
import { assertTransition, type SessionState } from "./session-state.ts";
import type { SessionTerms } from "./session-terms.ts";

/** The terms of a session with its absolute end, in milliseconds since the epoch, `null` for never. */
export interface SessionLimits {
  terms: SessionTerms;
  endsAt: number | null;
}

export interface SessionOptions {
  /** Left out for a new session. */
  id?: SessionId;
  executorNumber: ExecutorNumber;
  /** Of its executor. */
  type: string;
  terms: SessionTerms;
  maxQueued: number;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Left out for a new session. */
  createdAt?: number;
  endsAt?: number | null;
  onExecution?: (session: Session, execution: Execution) => void;
}

/** New limits of a session, counted from now; milliseconds, `null` for never. */
export interface NewLimits {
  idleTimeoutMs?: number | null;
  lifetimeMs?: number | null;
}

/** A client's claim on one executor and on its kernel's state. Its id is never used again once it has ended. */
export class Session {
  readonly id: SessionId;
  readonly executorNumber: ExecutorNumber;
  readonly type: string;
  readonly createdAt: number;
  readonly #now: () => number;
  #terms: SessionTerms;
  #endsAt: number | null;
  #lastUsedAt: number;
  #state: SessionState = { name: "opening" };
  #uses = 0;
  #running = 0;
  readonly #unused = new Set<() => void>();
  readonly #cut = new AbortController();
  /** Orders the executions. A slot stays taken until its run has ended, whatever became of the client. */
  readonly #queue = new PQueue({ concurrency: 1 });
  readonly #maxQueued: number;
  readonly #onExecution: SessionOptions["onExecution"];

  constructor(options: SessionOptions) {
    this.id = options.id ?? newSessionId();
    this.executorNumber = options.executorNumber;
    this.type = options.type;
    this.#now = options.now;
    this.#terms = options.terms;
    this.#maxQueued = options.maxQueued;
    this.#onExecution = options.onExecution;
    this.#lastUsedAt = options.now();
    this.createdAt = options.createdAt ?? options.now();
    const { lifetimeMs } = options.terms;
    this.#endsAt = options.endsAt ?? (lifetimeMs === null ? null : this.createdAt + lifetimeMs);
  }

  get state(): SessionState {
    return this.#state;
  }

  get terms(): SessionTerms {
    return this.#terms;
  }

  get lastUsedAt(): number {
    return this.#lastUsedAt;
  }

  /** When the session ends if it stays idle; milliseconds since the epoch, `null` for never. */
  get expiresAt(): number | null {
    const { idleTimeoutMs } = this.#terms;
    return idleTimeoutMs === null ? null : this.#lastUsedAt + idleTimeoutMs;
  }

  /** When the session ends whatever happens in it; milliseconds since the epoch, `null` for never. */
  get endsAt(): number | null {
    return this.#endsAt;
  }

  /** Executions that run. */
  get running(): number {
    return this.#running;
  }

  /** Executions that wait for their turn. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Aborted when the session has ended and what ran in it must not be waited for any longer. */
  get cutSignal(): AbortSignal {
    return this.#cut.signal;
  }

  /** Whether something runs, waits or streams in it. */
  get isInUse(): boolean {
    return this.#uses > 0;
  }

  /**
   * The one function that changes the state.
   *
   * @throws {Error} for a step that the transition table does not allow
   */
  change(next: SessionState): void {
    assertTransition(this.#state.name, next.name);
    this.#state = next;
  }

  /** Why its time is over, if it is. A session in which something runs, waits or streams is not idle. */
  expiry(): string | undefined {
    const now = this.#now();
    if (this.#endsAt !== null && now >= this.#endsAt) return "its lifetime is over";
    const { expiresAt } = this;
    if (this.isInUse || expiresAt === null || now < expiresAt) return undefined;
    return `idle for ${Math.floor((now - this.#lastUsedAt) / 1000)} s`;
  }

  /** What its terms and its end are with new limits that count from now. */
  limitsWith({ idleTimeoutMs, lifetimeMs }: NewLimits): SessionLimits {
    const terms = {
      ...this.#terms,
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
      ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
    };
    if (lifetimeMs === undefined) return { terms, endsAt: this.#endsAt };
    return { terms, endsAt: lifetimeMs === null ? null : this.#now() + lifetimeMs };
  }

  /** Begins its idle time anew, with other limits where they are given. */
  renew(limits?: SessionLimits): void {
    this.#lastUsedAt = this.#now();
    if (!limits) return;
    this.#terms = limits.terms;
    this.#endsAt = limits.endsAt;
  }

  /** @throws {ServiceError} `session_ended` */
  assertOpen(): void {
    if (this.#state.name === "ended") throw sessionEnded(this.id, this.#state.reason);
  }

  /** Keeps the session from counting as idle until the returned handle is disposed of. */
  use(): Disposable {
    this.#uses += 1;
    return {
      [Symbol.dispose]: () => {
        this.#uses -= 1;
        this.#lastUsedAt = this.#now();
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
    const reason = this.#state.name === "ended" ? this.#state.reason : "it is needed otherwise";
    this.#cut.abort(new Error(`the session has ended: ${reason}`));
  }

  /**
   * Runs one execution after those that came before it. A client that goes away while it waits gives up its place.
   *
   * @throws {ServiceError} `queue_full`, `session_ended`; or the signal's reason
   */
  async enqueue<T>(signal: AbortSignal, run: (execution: Execution) => Promise<T>): Promise<T> {
    if (this.#queue.size >= this.#maxQueued) {
      const detail = `${this.#queue.size} executions wait in session ${this.id} already`;
      throw new ServiceError("queue_full", detail, { retryAfter: 1 });
    }
    using _ = this.use();
    const execution = new Execution((changed) => this.#onExecution?.(this, changed));
    this.#onExecution?.(this, execution);
    // The queue would free the slot of a run whose signal aborts, although it goes on: it knows of the wait alone.
    const waiting = new AbortController();
    const giveUp = () => waiting.abort(signal.reason);
    signal.addEventListener("abort", giveUp, { once: true });
    const start = async () => {
      signal.removeEventListener("abort", giveUp);
      signal.throwIfAborted();
      this.assertOpen();
      execution.change({ name: "running" });
      this.#running += 1;
      try {
        return await run(execution);
      } finally {
        this.#running -= 1;
      }
    };
    try {
      return await this.#queue.add(start, { signal: waiting.signal });
    } finally {
      if (execution.state.name !== "ended")
        execution.change({ name: "ended", outcome: this.#unfinished(signal) });
    }
  }

  /** As {@link enqueue}, for a run that is a stream: its place is taken until the stream has ended. */
  async *stream<T>(signal: AbortSignal, run: (execution: Execution) => AsyncGenerator<T>): AsyncGenerator<T> {
    const turn = Promise.withResolvers<Execution>();
    const ended = Promise.withResolvers<void>();
    const place = this.enqueue(signal, (execution) => {
      turn.resolve(execution);
      return ended.promise;
    });
    place.catch(turn.reject);
    const execution = await turn.promise;
    try {
      yield* run(execution);
    } finally {
      ended.resolve();
    }
  }

  /** How a run ended that its executor did not bring to an end. */
  #unfinished(signal: AbortSignal): "interrupted" | "restarted" | "executor_lost" {
    if (signal.aborted) return "interrupted";
    return this.#state.name === "ended" ? "restarted" : "executor_lost";
  }
}

/** The refusal of a session id that is dead for ever. */
export function sessionEnded(id: SessionId, reason: string): ServiceError {
  return new ServiceError("session_ended", `Session ${id} has ended: ${reason}`);
}
