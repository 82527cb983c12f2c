import type { SessionId } from "#contract/ids.ts";
import { ServiceError } from "#contract/errors.ts";
import { sessionOf, type Executor } from "#manager/fleet/executor.ts";
import type { Fleet } from "#manager/fleet/fleet.ts";
import { resetExecutor } from "#manager/fleet/reset.ts";
import { AllocationQueue, type Wish } from "./allocation-queue.ts";
import { Session, sessionEnded } from "./session.ts";
import { parseSessionRef, type SessionRef } from "./session-ref.ts";

/** Rules of the session table. Times in milliseconds. */
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
  resetTimeoutMs: number;
}

/** How many ended session ids are remembered, to tell an ended session from one that never was. */
const MAX_REMEMBERED = 100_000;

/** How long the requests of an ended session may take to end by themselves, which the restart makes them do. */
const SETTLE_GRACE_MS = 500;

/** The session table: who holds which executor. */
export class Sessions {
  readonly #fleet: Fleet;
  readonly #settings: SessionSettings;
  readonly #sessions = new Map<SessionId, Session>();
  /** Why each session ended, oldest first. */
  readonly #endReasons = new Map<SessionId, string>();
  readonly #queue: AllocationQueue<Session>;

  constructor(fleet: Fleet, settings: SessionSettings) {
    this.#fleet = fleet;
    this.#settings = settings;
    this.#queue = new AllocationQueue(settings.maxWaiting);
    fleet.onChange((executor, from) => {
      const sessionId = sessionOf(from);
      if (sessionId !== undefined && sessionOf(executor.state) !== sessionId) {
        this.#close(
          sessionId,
          from.name === "unhealthy" ? `executor lost: ${from.reason}` : "executor reset",
        );
      }
      if (executor.state.name === "free") this.#queue.offer(executor);
      if (executor.state.name === "unhealthy") this.#queue.refuse(executor, unavailable(executor));
    });
  }

  get waiting(): number {
    return this.#queue.size;
  }

  /**
   * Claims the executor that has been free longest, waiting for one for at most `waitMs`.
   *
   * @throws {ServiceError} `unknown_type`, `no_executor_free`, `too_many_waiting`; or the signal's reason
   */
  async allocate(
    type: string | undefined,
    options: { waitMs: number; signal: AbortSignal },
  ): Promise<Session> {
    if (type !== undefined && !this.#fleet.types.includes(type)) {
      throw new ServiceError("unknown_type", `Unknown container type: ${type}`);
    }
    const matches = (executor: Executor) => type === undefined || executor.type === type;
    const session = await this.#claim({ matches }, options);
    if (session) return session;
    const what = type === undefined ? "executor" : `executor of type ${type}`;
    throw new ServiceError("no_executor_free", `No ${what} is free`, { retryAfter: 1 });
  }

  /** @throws {ServiceError} `unknown_container`, `unknown_session`, `session_ended` */
  find(ref: SessionRef): { executor: Executor; session: Session | undefined } {
    if ("executorNumber" in ref) {
      const executor = this.#fleet.get(ref.executorNumber);
      return { executor, session: this.#openSessionOf(executor) };
    }
    const session = this.#sessions.get(ref.sessionId);
    if (session) return { executor: this.#fleet.get(session.executorNumber), session };
    const endReason = this.#endReasons.get(ref.sessionId);
    if (endReason !== undefined) throw sessionEnded(ref.sessionId, endReason);
    throw new ServiceError("unknown_session", `Session ${ref.sessionId} not found`);
  }

  /**
   * The session to execute in. On an executor that nobody holds one is opened, unless allocation is strict.
   *
   * @throws {ServiceError} as {@link find}, and `executor_unavailable`, `not_allocated`; or the signal's reason
   */
  async findOrOpen(ref: SessionRef, signal: AbortSignal): Promise<{ executor: Executor; session: Session }> {
    const { executor, session } = this.find(ref);
    assertAvailable(executor);
    if (session) return { executor, session };
    if (this.#settings.allocation === "strict") throw notAllocated(executor);
    const opened = await this.#claim(
      { matches: (candidate) => candidate === executor, shares: true },
      { waitMs: this.#settings.startWaitMs, signal },
    );
    if (opened) return { executor, session: opened };
    throw new ServiceError("executor_unavailable", `Container ${executor.number} is ${executor.state.name}`, {
      retryAfter: 1,
    });
  }

  /**
   * Ends the session at once; resolves when its executor is clean and free again, after `waitMs`, or when the signal
   * aborts. `ref` is a session reference as a client wrote it.
   *
   * @returns whether the executor is free again
   * @throws {ServiceError} `not_allocated`
   */
  async deallocate(
    ref: string,
    { waitMs, signal }: { waitMs: number; signal: AbortSignal },
  ): Promise<{ executor: Executor; clean: boolean }> {
    const { executor, session } = this.#findHeld(ref);
    void this.#end(session, "deallocated");
    const settled = this.#fleet.waitForState(
      executor,
      ({ name }) => name !== "resetting",
      AbortSignal.any([AbortSignal.timeout(waitMs), signal]),
    );
    await settled.catch(() => undefined);
    return { executor, clean: executor.state.name !== "resetting" && executor.state.name !== "unhealthy" };
  }

  /** Ends a session whose client went away before it was told of it. One that has ended already stays as it is. */
  abandon(session: Session): void {
    if (session.endReason === undefined) void this.#end(session, "its client hung up");
  }

  /** Ends every session and resets its executor. */
  async restartAll(): Promise<Executor[]> {
    const held = this.#open();
    await Promise.all(held.map((session) => this.#end(session, "the fleet was restarted")));
    return held.map((session) => this.#fleet.get(session.executorNumber));
  }

  /** Sends away the clients that wait for an executor, because the manager stops. */
  refuseWaiting(): void {
    this.#queue.clear(new ServiceError("shutting_down", "The manager stops"));
  }

  /** Ends the sessions that are idle for longer than they may be. */
  reapIdle(now: number): void {
    for (const session of this.#open()) if (session.isIdle(now)) void this.#end(session, "idle for too long");
  }

  #open(): Session[] {
    return this.#fleet.executors.flatMap((executor) => this.#openSessionOf(executor) ?? []);
  }

  #openSessionOf(executor: Executor): Session | undefined {
    const sessionId = sessionOf(executor.state);
    return sessionId === undefined ? undefined : this.#sessions.get(sessionId);
  }

  #findHeld(ref: string): { executor: Executor; session: Session } {
    const refusal = (cause?: unknown) =>
      new ServiceError("not_allocated", `Container ${ref} is not allocated`, { cause });
    try {
      const { executor, session } = this.find(parseSessionRef(ref));
      if (session) return { executor, session };
    } catch (error) {
      throw refusal(error);
    }
    throw refusal();
  }

  /** Makes a session's id dead for ever; why is remembered for the latest ones. */
  #close(id: SessionId, reason: string): void {
    const session = this.#sessions.get(id);
    if (!session) return;
    session.end(reason);
    this.#sessions.delete(id);
    this.#endReasons.set(id, reason);
    const oldest = this.#endReasons.keys().next().value;
    if (this.#endReasons.size > MAX_REMEMBERED && oldest !== undefined) this.#endReasons.delete(oldest);
  }

  /** A session on a matching executor, or undefined when none came free in time. */
  async #claim(
    wish: Omit<Wish<Session>, "take">,
    { waitMs, signal }: { waitMs: number; signal: AbortSignal },
  ): Promise<Session | undefined> {
    signal.throwIfAborted();
    const free = this.#fleet.oldestFree(wish.matches);
    if (free) return this.#openOn(free);
    if (waitMs <= 0) return undefined;
    const timeout = AbortSignal.timeout(waitMs);
    try {
      const take = (executor: Executor) => this.#openOn(executor);
      return await this.#queue.wait({ ...wish, take }, AbortSignal.any([timeout, signal]));
    } catch (error) {
      if (timeout.aborted && !signal.aborted) return undefined;
      throw error;
    }
  }

  #openOn(executor: Executor): Session {
    const session = new Session(executor.number, this.#settings);
    this.#sessions.set(session.id, session);
    this.#fleet.changeState(executor, { name: "allocated", sessionId: session.id });
    return session;
  }

  async #end(session: Session, reason: string): Promise<void> {
    this.#close(session.id, reason);
    const executor = this.#fleet.get(session.executorNumber);
    if (executor.state.name === "unhealthy") {
      return this.#fleet.changeState(executor, { name: "unhealthy", reason: executor.state.reason });
    }
    await resetExecutor(this.#fleet, executor, {
      reason: `session ${reason}`,
      timeoutMs: this.#settings.resetTimeoutMs,
      ...(session.isInUse ? { settled: () => session.settle(SETTLE_GRACE_MS) } : {}),
    });
  }
}

/** @throws {ServiceError} `executor_unavailable` */
export function assertAvailable(executor: Executor): void {
  if (executor.state.name === "unhealthy") throw unavailable(executor);
}

/** The refusal of what needs a session, on an executor that has none. */
export function notAllocated({ number }: Executor): ServiceError {
  return new ServiceError("not_allocated", `Container ${number} is not allocated or invalid`);
}

function unavailable({ number, state }: Executor): ServiceError {
  const cause = "reason" in state ? new Error(state.reason) : undefined;
  return new ServiceError("executor_unavailable", `Container ${number} is not available`, { cause });
}
