import type { Logger } from "pino";
import { errorText, ServiceError } from "#contract/errors.ts";
import type { ExecutorNumber, SessionId, SessionName } from "#contract/ids.ts";
import type { SessionSpec } from "#contract/manager-api.ts";
import { sessionOf, type Executor } from "#manager/fleet/executor.ts";
import type { ExecutorState } from "#manager/fleet/executor-state.ts";
import type { Fleet } from "#manager/fleet/fleet.ts";
import type { Resetter } from "#manager/fleet/reset.ts";
import { AllocationQueue } from "./allocation-queue.ts";
import { holdWhileBusy } from "./hold-while-busy.ts";
import { assertAvailable, notAllocated, notYet, unavailable } from "./refusals.ts";
import { restoreSessions } from "./restore-sessions.ts";
import type { NewLimits, Session } from "./session.ts";
import { SessionEnds } from "./session-ends.ts";
import { SessionOpener } from "./session-opener.ts";
import type { SessionStore } from "./session-store.ts";
import { SessionTable, type SessionListener } from "./session-table.ts";
import { termsOf, type SessionTerms } from "./session-terms.ts";

/** Rules for sessions. Times in milliseconds. */
export interface SessionSettings {
  /** `open`: executing on a free executor opens a session on it. `strict`: it has to be allocated first. */
  allocation: "open" | "strict";
  idleTimeoutMs: number;
  /** Executions that may wait in one session. */
  maxQueued: number;
  /** Clients that may wait for an executor. */
  maxWaiting: number;
  /** How long an execution waits for its executor while that starts or is reset. */
  startWaitMs: number;
}

/** What sessions are made from. */
export interface SessionContext {
  fleet: Fleet;
  store: SessionStore;
  resetter: Pick<Resetter, "reset">;
  log: Logger;
  /** Milliseconds since the epoch. */
  now?: () => number;
}

/** A session by the number of its executor, or by its id. */
export type DirectRef = { executorNumber: ExecutorNumber } | { sessionId: SessionId };

/** Who holds which executor: sessions are opened, found, renewed and ended here. */
export class Sessions {
  readonly #fleet: Fleet;
  readonly #store: SessionStore;
  readonly #table: SessionTable;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #settings: SessionSettings;
  readonly #queue: AllocationQueue<Session>;
  readonly #opener: SessionOpener;
  readonly #ends: SessionEnds;

  constructor({ fleet, store, resetter, log, now = Date.now }: SessionContext, settings: SessionSettings) {
    this.#fleet = fleet;
    this.#store = store;
    this.#table = new SessionTable(store, now);
    this.#log = log;
    this.#now = now;
    this.#settings = settings;
    this.#queue = new AllocationQueue(settings.maxWaiting);
    const { maxQueued } = settings;
    this.#opener = new SessionOpener({ fleet, store, table: this.#table, queue: this.#queue, maxQueued });
    this.#ends = new SessionEnds({ fleet, store, table: this.#table, resetter, log, now });
    fleet.onChange((executor, from) => this.#follow(executor, from));
  }

  /** Clients that wait for an executor. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Every session that has not ended, oldest first. */
  get all(): Session[] {
    return this.#table.all;
  }

  /** Tells of every change of a session and of what is executed in it, until the handle is disposed of. */
  onChange(listener: SessionListener): Disposable {
    return this.#table.onChange(listener);
  }

  /** Takes up the sessions that an earlier manager left. */
  restore(): void {
    const parts = { fleet: this.#fleet, store: this.#store, table: this.#table };
    restoreSessions(parts, { maxQueued: this.#settings.maxQueued, now: this.#now() });
  }

  /**
   * Opens a session on the executor that has been free longest, waiting for one for at most `waitMs`.
   *
   * @throws {ServiceError} `unknown_type`, `no_executor_free`, `too_many_waiting`, `env_unsupported`,
   *   `executor_unavailable`, `storage_failed`; or the signal's reason
   */
  async allocate(
    spec: SessionSpec,
    options: { waitMs: number; signal: AbortSignal; name?: SessionName },
  ): Promise<Session> {
    const { type } = spec;
    if (type !== undefined && !this.#fleet.types.includes(type)) {
      throw new ServiceError("unknown_type", `Unknown container type: ${type}`);
    }
    const matches = (executor: Executor) => type === undefined || executor.type === type;
    const terms = this.termsOf(spec, options.name);
    const session = await this.#opener.claim({ matches }, { ...options, terms });
    if (!session) {
      const what = type === undefined ? "executor" : `executor of type ${type}`;
      throw new ServiceError("no_executor_free", `No ${what} is free`, { retryAfter: 1 });
    }
    try {
      return await this.#opener.prepare(session, spec.env ?? {}, options.signal);
    } catch (error) {
      this.abandon(session, "its environment could not be set");
      throw error;
    }
  }

  /** What a session of that spec is: what the spec leaves out is chosen here. */
  termsOf(spec: SessionSpec, name?: SessionName): SessionTerms {
    return termsOf(spec, { name, idleTimeoutMs: this.#settings.idleTimeoutMs });
  }

  /** The session of a name, if there is one. */
  named(name: SessionName): Session | undefined {
    const session = this.#table.named(name);
    return session && this.#isKnown(session) ? session : undefined;
  }

  /** Whether the session of a name has its executor and is being prepared. */
  isBeingPrepared(name: SessionName): boolean {
    return this.#table.named(name)?.state.name === "opening";
  }

  executorOf(session: Session): Executor {
    return this.#fleet.get(session.executorNumber);
  }

  /** @throws {ServiceError} `unknown_container`, `unknown_session`, `session_ended` */
  find(ref: DirectRef): { executor: Executor; session: Session | undefined } {
    if ("executorNumber" in ref) {
      const executor = this.#fleet.get(ref.executorNumber);
      const id = sessionOf(executor.state);
      const session = id === undefined ? undefined : this.#table.get(id);
      return { executor, session: session && this.#isKnown(session) ? session : undefined };
    }
    const session = this.#table.get(ref.sessionId);
    if (!session || !this.#isKnown(session)) throw this.#table.refusalOf(ref.sessionId);
    return { executor: this.executorOf(session), session };
  }

  /**
   * The session to execute in. On an executor that nobody holds one is opened, unless allocation is strict. An executor
   * that is only starting is waited for.
   *
   * @throws {ServiceError} as {@link find}, and `executor_unavailable`, `not_allocated`; or the signal's reason
   */
  async findOrOpen(ref: DirectRef, signal: AbortSignal): Promise<{ executor: Executor; session: Session }> {
    const { executor, session } = this.find(ref);
    assertAvailable(executor);
    if (session) {
      await this.#untilStarted(executor, signal);
      session.assertOpen();
      return { executor, session };
    }
    if (this.#settings.allocation === "strict") throw notAllocated(executor);
    if (executor.state.name === "allocated") throw notYet(executor);
    const { startWaitMs } = this.#settings;
    const opened = await this.#opener.claim(
      { matches: (candidate) => candidate === executor, shares: true },
      { waitMs: startWaitMs, signal, terms: this.termsOf({}) },
    );
    if (!opened) throw notYet(executor);
    return { executor, session: opened };
  }

  /**
   * Begins a session's time anew. It either has its new time afterwards or is answered as ended, also at the very
   * moment at which its time is over.
   *
   * @throws {ServiceError} `session_ended`, `storage_failed`
   */
  renew(session: Session, limits: NewLimits): void {
    this.#isLive(session);
    session.assertOpen();
    if (limits.idleTimeoutMs === undefined && limits.lifetimeMs === undefined) return session.renew();
    const next = session.limitsWith(limits);
    this.#store.setLimits(session.id, next);
    session.renew(next);
  }

  /**
   * Ends a session at once because a client wants that, and resets its executor.
   *
   * @returns when the executor is clean, or known not to become so; it never rejects
   * @throws {ServiceError} `storage_failed`, at once: the session goes on then
   */
  end(session: Session, reason: string): Promise<void> {
    return this.#ends.end(session, reason);
  }

  /** Ends a session that is over whatever the disk says, and resets its executor. It never throws. */
  abandon(session: Session, reason: string): void {
    this.#ends.abandon(session, reason);
  }

  /** Ends every session and resets its executor. Tells what went wrong with which. */
  async restartAll(): Promise<{ executor: Executor; error?: string }[]> {
    return await Promise.all(
      this.all.map(async (session) => {
        const executor = this.executorOf(session);
        try {
          await this.end(session, "the fleet was restarted");
        } catch (error) {
          return { executor, error: errorText(error) };
        }
        return executor.state.name === "unhealthy"
          ? { executor, error: executor.state.reason }
          : { executor };
      }),
    );
  }

  /** Ends the sessions whose time is over, and writes what could not be written when it happened. */
  reap(): void {
    for (const session of this.all) this.#isLive(session);
    try {
      this.#store.payDebts();
    } catch (error) {
      this.#log.error({ err: error }, "the disk cannot be written");
    }
  }

  /** Sends away the clients that wait for an executor, because the manager stops. */
  refuseWaiting(): void {
    this.#queue.clear(new ServiceError("shutting_down", "The manager stops"));
  }

  /** The manager stops: ends what is not detached, without a reset, and tells which sessions are left. */
  close(): Session[] {
    for (const session of this.all)
      if (!session.terms.detached) this.#ends.close(session, "the manager stopped");
    return this.all;
  }

  /** Whether a session goes on, and somebody was told of it: one that is being opened is nobody's yet. */
  #isKnown(session: Session): boolean {
    return session.state.name !== "opening" && this.#isLive(session);
  }

  /** Whether a session goes on. It ends here when its time is over, so that the clock decides and not the reaper. */
  #isLive(session: Session): boolean {
    if (session.state.name === "ended") return false;
    const reason = session.expiry();
    if (reason === undefined) return true;
    this.abandon(session, reason);
    return false;
  }

  /** Follows what becomes of executors. */
  #follow(executor: Executor, from: ExecutorState): void {
    const { state } = executor;
    this.#ends.follow(executor, from);
    if (state.name === "free") {
      this.#cleaned(executor);
      this.#queue.offer(executor);
    }
    if (state.name === "unhealthy") this.#queue.refuse(executor, unavailable(executor));
    if (state.name === "allocated" && from.name !== "free") this.#holdWhileBusy(state.sessionId, executor);
  }

  #cleaned({ number }: Executor): void {
    try {
      this.#store.cleaned(number);
    } catch (error) {
      // A lease that stays costs one more reset after a restart of the manager.
      this.#log.error({ err: error, executor: number }, "a lease could not be taken from the disk");
    }
  }

  #holdWhileBusy(id: SessionId, executor: Executor): void {
    const session = this.#table.get(id);
    if (session) void holdWhileBusy(session, executor);
  }

  async #untilStarted(executor: Executor, signal: AbortSignal): Promise<void> {
    if (executor.state.name !== "starting") return;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(this.#settings.startWaitMs)]);
    const started = this.#fleet.waitForState(executor, ({ name }) => name !== "starting", limit);
    await started.catch(() => signal.throwIfAborted());
    assertAvailable(executor);
    if (executor.state.name === "starting") throw notYet(executor);
  }
}
