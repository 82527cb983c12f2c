import { ServiceError } from "#contract/errors.ts";
import { formatSessionName, type SessionName } from "#contract/ids.ts";
import type { SessionSpec } from "#contract/manager-api.ts";
import type { Session } from "./session.ts";
import { assertFits, type SessionTerms } from "./session-terms.ts";
import { SharedAttempt } from "./shared-attempt.ts";

/** How a session of a name comes into being. */
export interface NamedSessionSource {
  /** The open session of a name. */
  find: (name: SessionName) => Session | undefined;
  /** Whether the session of a name that is being opened has its executor. */
  hasExecutor: (name: SessionName) => boolean;
  /** What a session of that spec will be. */
  termsOf: (spec: SessionSpec) => SessionTerms;
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
    signal.throwIfAborted();
    const late = new AbortController();
    const timer = setTimeout(() => {
      if (!this.#source.hasExecutor(name)) late.abort();
    }, waitMs);
    const limit = AbortSignal.any([late.signal, signal]);
    try {
      await this.#untilNoneIsGivenUp(name, limit);
      const existing = this.#source.find(name);
      if (existing) {
        assertFits(name, existing, spec);
        return { session: existing, created: false };
      }
      const opening = this.#openingOf(name, spec);
      const session = await opening.attempt.join(limit);
      // Who opened it may have left more to choose than this spec does.
      assertFits(name, session, spec);
      const created = !opening.told;
      opening.told = true;
      return { session, created };
    } catch (error) {
      if (signal.aborted || !late.signal.aborted || error instanceof ServiceError) throw error;
      const detail = `No executor became free within ${waitMs / 1000} s for session ${formatSessionName(name)}`;
      throw new ServiceError("no_executor_free", detail, { retryAfter: 1, cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  /** What nobody waits for any more may hold an executor still, and with it the name. */
  async #untilNoneIsGivenUp(name: SessionName, signal: AbortSignal): Promise<void> {
    for (;;) {
      const attempt = this.#openings.get(formatSessionName(name))?.attempt;
      if (!attempt?.isGivenUp) return;
      await attempt.settled(signal);
    }
  }

  #openingOf(name: SessionName, spec: SessionSpec): Opening {
    const key = formatSessionName(name);
    const current = this.#openings.get(key);
    if (current) {
      assertFits(name, { terms: this.#source.termsOf(current.spec), type: current.spec.type }, spec);
      return current;
    }
    const opening: Opening = {
      spec,
      told: false,
      attempt: new SharedAttempt(async (signal) => {
        try {
          return await this.#source.open(name, spec, signal);
        } finally {
          this.#openings.delete(key);
        }
      }),
    };
    this.#openings.set(key, opening);
    return opening;
  }
}
