import type { Session as SessionReply } from "#contract/manager-api.ts";
import type { Session } from "#manager/sessions/session.ts";

/** A session as the API tells it. */
export function describeSession(session: Session): SessionReply {
  const { id, executorNumber, type, state, terms, createdAt, lastUsedAt, endsAt } = session;
  return {
    session_id: id,
    ...terms.name,
    state: state.name,
    ...("reason" in state ? { reason: state.reason } : {}),
    container_id: executorNumber,
    type,
    detached: terms.detached,
    idle_timeout: terms.idleTimeoutMs === null ? null : terms.idleTimeoutMs / 1000,
    env: terms.env.names,
    created_at: isoTime(createdAt),
    last_used_at: isoTime(lastUsedAt),
    expires_at: expiryOf(session),
    ends_at: isoTime(endsAt),
    running: session.running,
    queued: session.queued,
  };
}

/** When a session ends if nothing happens in it, as ISO 8601: idle for too long, or at the end of its lifetime. */
export function expiryOf({ expiresAt, endsAt }: Session): string | null {
  const ends = [expiresAt, endsAt].filter((end) => end !== null);
  return ends.length === 0 ? null : isoTime(Math.min(...ends));
}

/** A time in milliseconds since the epoch as ISO 8601; `null`, which is never, stays `null`. */
function isoTime<T extends number | null>(ms: T): T extends number ? string : null;
function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
