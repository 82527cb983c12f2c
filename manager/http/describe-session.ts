import type { Session as SessionReply } from "#contract/manager-api.ts";
import type { Session } from "#manager/sessions/session.ts";

/** A session as the API tells it. */
export function describeSession(session: Session): SessionReply {
  const { id, executorNumber, type, state, terms, createdAt, lastUsedAt, expiresAt, endsAt } = session;
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
    expires_at: isoTime(expiresAt),
    ends_at: isoTime(endsAt),
    running: session.running,
    queued: session.queued,
  };
}

/** A time in milliseconds since the epoch as ISO 8601; `null`, which is never, stays `null`. */
export function isoTime<T extends number | null>(ms: T): T extends number ? string : null;
export function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
