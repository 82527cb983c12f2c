import pRetry from "p-retry";
import type { Logger } from "pino";
import type { SessionId } from "#contract/ids.ts";
import { sessionOf, type Executor } from "#manager/fleet/executor.ts";
import type { ExecutorState } from "#manager/fleet/executor-state.ts";
import type { Fleet } from "#manager/fleet/fleet.ts";
import type { Resetter } from "#manager/fleet/reset.ts";
import { endReasonOf } from "./end-reason.ts";
import type { Session } from "./session.ts";
import type { SessionStore } from "./session-store.ts";
import type { SessionTable } from "./session-table.ts";

/** How long the requests of an ended session may take to end by themselves, which the restart makes them do. */
const SETTLE_GRACE_MS = 500;
const MIN_RETRY_DELAY_MS = 200;
const MAX_RETRY_DELAY_MS = 5_000;

export interface SessionEndsContext {
  fleet: Fleet;
  store: SessionStore;
  table: SessionTable;
  resetter: Pick<Resetter, "reset">;
  log: Logger;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Where sessions end: their ids are dead from then on, and their executors are cleared. */
export class SessionEnds {
  readonly #context: SessionEndsContext;

  constructor(context: SessionEndsContext) {
    this.#context = context;
  }

  /**
   * Ends a session because a client wants it to end. One that has ended already stays as it is.
   *
   * @returns when the executor is clean, or known not to become so; it never rejects
   * @throws {ServiceError} `storage_failed`, at once: the session goes on then
   */
  end(session: Session, reason: string): Promise<void> {
    if (session.state.name === "ended") return Promise.resolve();
    const { store, table, now } = this.#context;
    if (session.state.name !== "opening") store.end(session.id, reason, now());
    table.close(session, reason);
    return this.#clear(session, reason);
  }

  /**
   * Ends a session that is over whatever the disk says. What cannot be written yet is written as soon as that can be
   * done, and its executor is not cleared before. It never throws.
   */
  abandon(session: Session, reason: string): void {
    if (session.state.name === "ended") return;
    this.close(session, reason);
    void this.#clear(session, reason);
  }

  /** As {@link abandon}, but leaves the executor as it is. */
  close(session: Session, reason: string): void {
    if (session.state.name === "ended") return;
    const { store, table, log, now } = this.#context;
    if (session.state.name !== "opening") store.endAnyway(session.id, reason, now());
    if (store.owes(session.id))
      log.error({ session: session.id, reason }, "an end could not be written to disk yet");
    table.close(session, reason);
  }

  /** Follows what becomes of the executor that a session held in the state before. */
  follow(executor: Executor, from: ExecutorState): void {
    const { table } = this.#context;
    const { state } = executor;
    const id = sessionOf(from);
    const held = id === undefined ? undefined : table.get(id);
    if (!held) return;
    if (sessionOf(state) !== held.id) return this.close(held, endReasonOf(executor, from));
    const { name } = held.state;
    if (state.name === "allocated" && name === "unreachable") table.change(held, { name: "open" });
    if ((state.name === "unhealthy" || state.name === "starting") && name !== "opening")
      table.change(held, { name: "unreachable", reason: state.reason });
  }

  async #clear(session: Session, reason: string): Promise<void> {
    const { fleet, store, resetter, log } = this.#context;
    const executor = fleet.get(session.executorNumber);
    const { state } = executor;
    // It may be another's by now, or known as lost.
    if (sessionOf(state) !== session.id) return;
    try {
      if (state.name === "unhealthy" || state.name === "starting") {
        // Its prober resets it when it answers.
        const { sessionId: _, ...unclaimed } = state;
        return fleet.changeState(executor, unclaimed);
      }
      await resetter.reset(executor, {
        reason: `session ended: ${reason}`,
        ...(session.isInUse ? { settled: () => session.settle(SETTLE_GRACE_MS) } : {}),
        ...(store.owes(session.id) ? { first: (signal) => this.#untilWritten(session.id, signal) } : {}),
      });
    } catch (error) {
      log.error({ err: error, executor: executor.number }, "an executor could not be cleared");
    }
  }

  /** A session that the disk still knows must find its kernel as it was. */
  async #untilWritten(id: SessionId, signal: AbortSignal): Promise<void> {
    const { store } = this.#context;
    const attempt = () => {
      if (store.owes(id)) store.payDebts();
    };
    await pRetry(attempt, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: MIN_RETRY_DELAY_MS,
      maxTimeout: MAX_RETRY_DELAY_MS,
      signal,
    });
  }
}
