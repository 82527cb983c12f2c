import { ServiceError } from "#contract/errors.ts";
import type { SessionEnv } from "#contract/executor-api.ts";
import { Deadline } from "#manager/fleet/deadline.ts";
import type { Executor } from "#manager/fleet/executor.ts";
import type { Fleet } from "#manager/fleet/fleet.ts";
import type { AllocationQueue, Wish } from "./allocation-queue.ts";
import { unavailable } from "./refusals.ts";
import type { Session } from "./session.ts";
import type { SessionStore } from "./session-store.ts";
import type { SessionTable } from "./session-table.ts";
import type { SessionTerms } from "./session-terms.ts";

/** How long an executor may take to accept the environment of a session. */
const ENV_TIMEOUT_MS = 10_000;

/** What sessions are opened with. */
export interface OpenerContext {
  fleet: Fleet;
  store: SessionStore;
  table: SessionTable;
  queue: AllocationQueue<Session>;
  /** Executions that may wait in one session. */
  maxQueued: number;
}

/** Opens sessions: claims a free executor, writes that down, and prepares its kernel. */
export class SessionOpener {
  readonly #fleet: Fleet;
  readonly #store: SessionStore;
  readonly #table: SessionTable;
  readonly #queue: AllocationQueue<Session>;
  readonly #maxQueued: number;

  constructor({ fleet, store, table, queue, maxQueued }: OpenerContext) {
    this.#fleet = fleet;
    this.#store = store;
    this.#table = table;
    this.#queue = queue;
    this.#maxQueued = maxQueued;
  }

  /**
   * A session on a matching executor, or undefined when none came free in time.
   *
   * @throws {ServiceError} `too_many_waiting`, `storage_failed`; or the signal's reason
   */
  async claim(
    wish: Omit<Wish<Session>, "take">,
    { waitMs, signal, terms }: { waitMs: number; signal: AbortSignal; terms: SessionTerms },
  ): Promise<Session | undefined> {
    signal.throwIfAborted();
    const take = (executor: Executor) => this.#openOn(executor, terms);
    const free = this.#fleet.oldestFree(wish.matches);
    if (free) return take(free);
    if (waitMs <= 0) return undefined;
    using deadline = new Deadline(waitMs);
    try {
      return await this.#queue.wait({ ...wish, take }, AbortSignal.any([deadline.signal, signal]));
    } catch (error) {
      if (deadline.hasPassed && !signal.aborted) return undefined;
      throw error;
    }
  }

  /** Claims a free executor. A session with an environment is not open before its kernel has that. */
  #openOn(executor: Executor, terms: SessionTerms): Session {
    const { number: executorNumber, type } = executor;
    const needsEnv = terms.env.names.length > 0;
    const session = this.#table.add({ executorNumber, type, terms, maxQueued: this.#maxQueued });
    try {
      if (needsEnv) this.#store.lease(executorNumber, executor.bootId);
      else this.#store.open(session, executor.bootId);
    } catch (error) {
      this.#table.close(session, "it could not be written to disk");
      throw error;
    }
    this.#fleet.changeState(executor, { name: "allocated", sessionId: session.id });
    if (!needsEnv) this.#table.change(session, { name: "open" });
    return session;
  }

  /**
   * Gives the kernel of a new session its environment.
   *
   * @throws {ServiceError} `env_unsupported`, `executor_unavailable`, `storage_failed`: the session cannot be used; as
   *   when the signal aborts
   */
  async prepare(session: Session, env: SessionEnv, clientGone: AbortSignal): Promise<Session> {
    if (session.state.name !== "opening") return session;
    using _ = session.use();
    const executor = this.#fleet.get(session.executorNumber);
    try {
      const signal = AbortSignal.any([AbortSignal.timeout(ENV_TIMEOUT_MS), executor.lostSignal, clientGone]);
      const { env: names } = await executor.client.restart(signal, { env });
      if (names === undefined) {
        throw new ServiceError("env_unsupported", `Executors of type ${executor.type} take no environment`);
      }
      session.assertOpen();
      clientGone.throwIfAborted();
      this.#store.open(session, executor.bootId);
      this.#table.change(session, { name: "open" });
      return session;
    } catch (error) {
      if (error instanceof ServiceError && error.code !== "session_ended") throw error;
      throw unavailable(executor, error);
    }
  }
}
