import pRetry from "p-retry";
import type { Logger } from "pino";
import { errorText, ERRORS, ServiceError } from "#contract/errors.ts";
import { formatSessionName, type SessionName } from "#contract/ids.ts";
import type { SessionSpec, Singleton } from "#contract/manager-api.ts";
import { orAborted } from "#manager/fleet/or-aborted.ts";
import type { Session } from "./session.ts";
import type { SessionResolver } from "./session-resolver.ts";
import type { SessionStore } from "./session-store.ts";
import type { Sessions } from "./sessions.ts";

/** How long one attempt waits for a free executor before it says so and goes on waiting. */
const ATTEMPT_MS = 30_000;
const MIN_RETRY_DELAY_MS = 200;
const MAX_RETRY_DELAY_MS = 5_000;

/** A named session that the fleet's config asks for. */
export interface WantedSession {
  name: SessionName;
  spec: SessionSpec;
}

interface Wanted extends WantedSession {
  /** What is in the way of it, if anything is. */
  reason: string | undefined;
  /** Whether it is tried to open it. */
  tried: boolean;
}

/** The named sessions that the fleet's config asks for. They are opened when the manager starts, if they are not there. */
export class Singletons {
  readonly #wanted: Wanted[];
  readonly #sessions: Sessions;
  readonly #resolver: SessionResolver;
  readonly #store: SessionStore;
  readonly #log: Logger;

  constructor(
    bootstrap: readonly WantedSession[],
    parts: { sessions: Sessions; resolver: SessionResolver; store: SessionStore; log: Logger },
  ) {
    this.#sessions = parts.sessions;
    this.#resolver = parts.resolver;
    this.#store = parts.store;
    this.#log = parts.log;
    this.#wanted = bootstrap.map((wanted) => ({
      ...wanted,
      reason: "it waits for a free executor",
      tried: true,
    }));
  }

  /** Opens those that are not there, as soon as executors are free. Never rejects. */
  async ensure(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#wanted.map((wanted) => this.#ensureOne(wanted, signal)));
  }

  /** What has become of each. */
  list(): Singleton[] {
    return this.#wanted.map(({ name, reason, tried }) => {
      const session = this.#sessions.named(name);
      const told = (why: string | undefined) => (why === undefined ? {} : { reason: why });
      if (session) {
        const { state } = session;
        // One that is there with another spec is open, and yet not what was asked for.
        const why = "reason" in state ? state.reason : tried ? undefined : reason;
        return { ...name, state: state.name, ...told(why), session_id: session.id };
      }
      if (tried) return { ...name, state: "opening", ...told(reason) };
      return { ...name, state: "ended", ...told(reason ?? this.#store.lastEndOf(name)?.reason) };
    });
  }

  async #ensureOne(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const session = formatSessionName(wanted.name);
    try {
      await pRetry(() => this.#open(wanted, signal), {
        retries: Number.POSITIVE_INFINITY,
        minTimeout: MIN_RETRY_DELAY_MS,
        maxTimeout: MAX_RETRY_DELAY_MS,
        signal,
        shouldRetry: ({ error }) => isWorthAnotherTry(error),
        onFailedAttempt: ({ error }) => {
          wanted.reason = errorText(error);
          this.#log.warn({ session, reason: wanted.reason }, "a session of the config is not there");
        },
      });
      wanted.reason = undefined;
    } catch (error) {
      if (!signal.aborted) wanted.reason = errorText(error);
    }
    wanted.tried = false;
  }

  /** One that an earlier manager left is there only when its executor still has its state. */
  async #open({ name, spec }: Wanted, signal: AbortSignal): Promise<void> {
    for (;;) {
      const { session } = await this.#resolver.ensure(name, spec, { waitMs: ATTEMPT_MS, signal });
      await this.#untilKnown(session, signal);
      if (session.state.name !== "ended") return;
    }
  }

  /** Resolves when the session is not `unreachable`. */
  async #untilKnown(session: Session, signal: AbortSignal): Promise<void> {
    const { promise: known, resolve } = Promise.withResolvers<void>();
    const check = () => {
      if (session.state.name !== "unreachable") resolve();
    };
    using _ = this.#sessions.onChange(check);
    check();
    await orAborted(known, signal);
  }
}

/** Whether the same may succeed later without anybody's doing. */
function isWorthAnotherTry(error: unknown): boolean {
  return error instanceof ServiceError && ERRORS[error.code].retryable;
}
