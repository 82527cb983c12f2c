import { ServiceError } from "#contract/errors.ts";
import type { SessionName } from "#contract/ids.ts";
import type { SessionSpec } from "#contract/manager-api.ts";
import type { Executor } from "#manager/fleet/executor.ts";
import { lookUp, type LookUpSettings } from "./look-up.ts";
import { NamedSessions, type EnsureOptions } from "./named-sessions.ts";
import type { Session } from "./session.ts";
import { parseSessionName, parseSessionRef, type SessionRef } from "./session-ref.ts";
import type { SessionStore } from "./session-store.ts";
import type { Sessions } from "./sessions.ts";

/** How sessions are found by what clients call them. Times in milliseconds. */
export interface ResolverSettings {
  /** The namespace of a name that comes without one. */
  namespace: string;
  lookUp: LookUpSettings;
  /** Whether a name that is not there is opened by whoever asks for it first. */
  autoCreate: boolean;
  /** How long such a one waits for a free executor. */
  createWaitMs: number;
}

export interface ResolveOptions {
  signal: AbortSignal;
  /** As the request says, instead of as the settings say. */
  autoCreate?: boolean | undefined;
}

/** An executor with the session that holds it. */
export interface Resolved {
  executor: Executor;
  session: Session | undefined;
}

/** Finds sessions by executor number, session id, or name. The one place that knows which namespace is meant. */
export class SessionResolver {
  readonly namespace: string;
  readonly #sessions: Sessions;
  readonly #store: SessionStore;
  readonly #named: NamedSessions;
  readonly #settings: ResolverSettings;

  constructor(sessions: Sessions, store: SessionStore, settings: ResolverSettings) {
    this.namespace = settings.namespace;
    this.#sessions = sessions;
    this.#store = store;
    this.#settings = settings;
    this.#named = new NamedSessions({
      find: (name) => sessions.named(name),
      hasExecutor: (name) => sessions.isBeingPrepared(name),
      termsOf: (spec) => sessions.termsOf(spec),
      open: (name, spec, signal) =>
        sessions.allocate(spec, { name, waitMs: Number.POSITIVE_INFINITY, signal }),
    });
  }

  /** A name as a client wrote it, with its namespace. @throws {ServiceError} `invalid_request` */
  nameOf(text: string): SessionName {
    return parseSessionName(text, this.namespace);
  }

  /**
   * The session of a name, which is opened if it is not there.
   *
   * @throws {ServiceError} as `NamedSessions.ensure`
   */
  ensure(
    name: SessionName,
    spec: SessionSpec,
    options: EnsureOptions,
  ): Promise<{ session: Session; created: boolean }> {
    return this.#named.ensure(name, spec, options);
  }

  /** @throws {ServiceError} as `Sessions.find` and the look-up of a name */
  async find(text: string, options: ResolveOptions): Promise<Resolved> {
    return this.#sessions.find(await this.#direct(text, options));
  }

  /** The session of a reference. @throws {ServiceError} as {@link find}, and `unknown_session` */
  async findSession(text: string, options: ResolveOptions): Promise<Session> {
    const { executor, session } = await this.find(text, options);
    if (session) return session;
    throw new ServiceError("unknown_session", `Container ${executor.number} has no session`);
  }

  /** @throws {ServiceError} as `Sessions.findOrOpen` and the look-up of a name */
  async findOrOpen(text: string, options: ResolveOptions): Promise<{ executor: Executor; session: Session }> {
    return await this.#sessions.findOrOpen(await this.#direct(text, options), options.signal);
  }

  /** The session that a reference stands for at this moment. @throws {ServiceError} `not_allocated` */
  findHeld(text: string): Session {
    try {
      const ref = parseSessionRef(text, this.namespace);
      const session = "name" in ref ? this.#sessions.named(ref.name) : this.#sessions.find(ref).session;
      if (session) return session;
    } catch (error) {
      // Whatever a reference lacks, nothing is allocated by it.
      if (!(error instanceof ServiceError) || error.status >= 500) throw error;
    }
    throw new ServiceError("not_allocated", `Container ${text} is not allocated`);
  }

  async #direct(text: string, options: ResolveOptions): Promise<Exclude<SessionRef, { name: SessionName }>> {
    const ref = parseSessionRef(text, this.namespace);
    if (!("name" in ref)) return ref;
    return { sessionId: (await this.#lookUp(ref.name, options)).id };
  }

  async #lookUp(name: SessionName, { signal, autoCreate }: ResolveOptions): Promise<Session> {
    if (autoCreate ?? this.#settings.autoCreate) {
      const waitMs = this.#settings.createWaitMs;
      return (await this.#named.ensure(name, {}, { waitMs, signal })).session;
    }
    return await lookUp(name, {
      find: () => this.#sessions.named(name),
      explain: () => ({
        opening: this.#named.isOpening(name),
        lastEnd: this.#store.lastEndOf(name),
        elsewhere: this.#store.namespacesOf(name.name),
      }),
      settings: this.#settings.lookUp,
      signal,
    });
  }
}
