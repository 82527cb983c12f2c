import { ServiceError } from "#contract/errors.ts";
import { formatSessionName, type SessionId, type SessionName } from "#contract/ids.ts";
import type { Execution } from "#manager/executions/execution.ts";
import { Session, sessionEnded, type SessionOptions } from "./session.ts";
import type { SessionState } from "./session-state.ts";
import type { SessionStore } from "./session-store.ts";

/** Told of every change of a session's state and of every execution in one, after it. */
export type SessionListener = (session: Session, execution?: Execution) => void;

/** All sessions that have not ended, and the one place where they change state. What it tells is on disk before. */
export class SessionTable {
  readonly #store: SessionStore;
  readonly #now: () => number;
  readonly #sessions = new Map<SessionId, Session>();
  readonly #byName = new Map<string, Session>();
  readonly #listeners = new Set<SessionListener>();

  /** `now` gives milliseconds since the epoch. */
  constructor(store: SessionStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Oldest first. */
  get all(): Session[] {
    return [...this.#sessions.values()];
  }

  get(id: SessionId): Session | undefined {
    return this.#sessions.get(id);
  }

  named(name: SessionName): Session | undefined {
    return this.#byName.get(formatSessionName(name));
  }

  /** Tells of every change until the handle is disposed of. */
  onChange(listener: SessionListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Adds a session, which is `opening`. */
  add(options: Omit<SessionOptions, "now" | "onExecution">): Session {
    const onExecution = (changed: Session, execution: Execution) => this.#tell(changed, execution);
    const session = new Session({ ...options, now: this.#now, onExecution });
    this.#sessions.set(session.id, session);
    if (session.terms.name) this.#byName.set(formatSessionName(session.terms.name), session);
    return session;
  }

  /** Changes the state of a session that goes on. */
  change(session: Session, next: Exclude<SessionState, { name: "ended" }>): void {
    session.change(next);
    this.#tell(session);
  }

  /** Makes a session's id dead for ever. */
  close(session: Session, reason: string): void {
    session.change({ name: "ended", reason });
    this.#sessions.delete(session.id);
    if (session.terms.name) this.#byName.delete(formatSessionName(session.terms.name));
    this.#tell(session);
  }

  /** The refusal of an id that no session has: of one that has ended, or that never was. */
  refusalOf(id: SessionId): ServiceError {
    const reason = this.#store.endReason(id);
    if (reason !== undefined) return sessionEnded(id, reason);
    return new ServiceError("unknown_session", `Session ${id} not found`);
  }

  #tell(session: Session, execution?: Execution): void {
    for (const listener of this.#listeners) listener(session, execution);
  }
}
