import pRetry from "p-retry";
import type { Logger } from "pino";
import { errorText, ERRORS, ServiceError } from "#contract/errors.ts";
import { formatSessionName, type SessionName } from "#contract/ids.ts";
import type { BootstrapSession, SessionSpec, Singleton } from "#contract/manager-api.ts";
import type { SessionResolver } from "./session-resolver.ts";
import type { SessionStore } from "./session-store.ts";
import type { Sessions } from "./sessions.ts";

/** How long one attempt waits for a free executor before it says so and goes on waiting. */
const ATTEMPT_MS = 30_000;
const MIN_RETRY_DELAY_MS = 200;
const MAX_RETRY_DELAY_MS = 5_000;

interface Wanted {
  name: SessionName;
  spec: SessionSpec;
  /** What is in the way of it, if anything is. */
  reason: string | undefined;
}

/** The named sessions that the fleet's config asks for. They are opened when the manager starts, if they are not there. */
export class Singletons {
  readonly #wanted: Wanted[];
  readonly #sessions: Sessions;
  readonly #resolver: SessionResolver;
  readonly #store: SessionStore;
  readonly #log: Logger;

  constructor(
    bootstrap: readonly BootstrapSession[],
    parts: { sessions: Sessions; resolver: SessionResolver; store: SessionStore; log: Logger },
  ) {
    this.#sessions = parts.sessions;
    this.#resolver = parts.resolver;
    this.#store = parts.store;
    this.#log = parts.log;
    this.#wanted = bootstrap.map(({ name, namespace, ...spec }) => ({
      name: { name, namespace: namespace ?? parts.resolver.namespace },
      spec,
      reason: "it waits for a free executor",
    }));
  }

  /** Opens those that are not there, as soon as executors are free. Never rejects. */
  async ensure(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#wanted.map((wanted) => this.#ensureOne(wanted, signal)));
  }

  /** What has become of each. */
  list(): Singleton[] {
    return this.#wanted.map(({ name, reason }) => {
      const session = this.#sessions.named(name);
      if (session) {
        const { state } = session;
        const why = "reason" in state ? { reason: state.reason } : {};
        return { ...name, state: state.name, ...why, session_id: session.id };
      }
      const end = this.#store.lastEndOf(name);
      if (reason === undefined && end) return { ...name, state: "ended", reason: end.reason };
      return { ...name, state: "opening", ...(reason === undefined ? {} : { reason }) };
    });
  }

  async #ensureOne(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { name, spec } = wanted;
    const session = formatSessionName(name);
    try {
      await pRetry(() => this.#resolver.ensure(name, spec, { waitMs: ATTEMPT_MS, signal }), {
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
  }
}

/** Whether the same may succeed later without anybody's doing. */
function isWorthAnotherTry(error: unknown): boolean {
  return error instanceof ServiceError && ERRORS[error.code].retryable;
}
