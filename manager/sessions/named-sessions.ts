import { ServiceError } from "#contract/errors.ts";
import { formatSessionName, type SessionName } from "#contract/ids.ts";
import type { SessionSpec } from "#contract/manager-api.ts";
import type { Session } from "./session.ts";
import { assertFits, termsOf } from "./session-terms.ts";
import { SharedAttempt } from "./shared-attempt.ts";

/** How a session of a name comes into being. */
export interface NamedSessionSource {
  /** The open session of a name. */
  find: (name: SessionName) => Session | undefined;
  /** Opens one as soon as an executor is free. */
  open: (name: SessionName, spec: SessionSpec, signal: AbortSignal) => Promise<Session>;
}

/** A session that is being opened for everybody who asks for its name. */
interface Opening {
  spec: SessionSpec;
  attempt: SharedAttempt<Session>;
  /** Whether somebody was told that it was created. */
  told: boolean;
}

export interface EnsureOptions {
  /** How long to wait for a free executor. */
  waitMs: number;
  signal: AbortSignal;
}

/** Sessions by name: whoever asks for a name gets the same session, however many ask at once. */
export class NamedSessions {
  readonly #source: NamedSessionSource;
  readonly #openings = new Map<string, Opening>();

  constructor(source: NamedSessionSource) {
    this.#source = source;
  }

  /** Whether a session of that name is being opened. */
  isOpening(name: SessionName): boolean {
    return this.#openings.has(formatSessionName(name));
  }

  /**
   * The session of a name, which is opened if it is not there.
   *
   * @throws {ServiceError} `session_conflict` when it exists with another spec, `no_executor_free`, or what opening
   *   throws; or the signal's reason
   */
  async ensure(
    name: SessionName,
    spec: SessionSpec,
    { waitMs, signal }: EnsureOptions,
  ): Promise<{ session: Session; created: boolean }> {
    const existing = this.#source.find(name);
    if (existing) {
      assertFits(name, { ...existing.terms, type: existing.type }, spec);
      return { session: existing, created: false };
    }
    const opening = this.#openingOf(name, spec);
    const timeout = AbortSignal.timeout(waitMs);
    try {
      const session = await opening.attempt.join(AbortSignal.any([timeout, signal]));
      const created = !opening.told;
      opening.told = true;
      return { session, created };
    } catch (error) {
      if (signal.aborted || !timeout.aborted) throw error;
      const detail = `No executor became free within ${waitMs / 1000} s for session ${formatSessionName(name)}`;
      throw new ServiceError("no_executor_free", detail, { retryAfter: 1, cause: error });
    }
  }

  #openingOf(name: SessionName, spec: SessionSpec): Opening {
    const key = formatSessionName(name);
    const current = this.#openings.get(key);
    if (current && !current.attempt.isGivenUp) {
      assertFits(
        name,
        { ...termsOf(current.spec, { name, idleTimeoutMs: 0 }), type: current.spec.type },
        spec,
      );
      return current;
    }
    const opening: Opening = {
      spec,
      told: false,
      attempt: new SharedAttempt(async (signal) => {
        try {
          return await this.#source.open(name, spec, signal);
        } finally {
          if (this.#openings.get(key) === opening) this.#openings.delete(key);
        }
      }),
    };
    this.#openings.set(key, opening);
    return opening;
  }
}
