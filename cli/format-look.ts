import { formatSessionName } from "#contract/ids.ts";
import type { Connection, Session, Singleton } from "#contract/manager-api.ts";
import type { FleetLook } from "./fleet-look.ts";
import { formatExecutors, formatTotals } from "./format-status.ts";
import { formatTable, withoutControls } from "./table.ts";

/** A look at a fleet as a human reads it: totals, what is down, which no table is to push off the screen, and tables. */
export function formatLook({ at, down, status, connection, sessions, singletons }: FleetLook): string {
  const blocks = [
    [...(status ? [formatTotals(status)] : []), ...(connection ? [formatConnection(connection)] : [])],
    down.map((line) => `down: ${withoutControls(line)}`),
    status ? formatExecutors(status.executors) : [],
    sessions && sessions.length > 0 ? formatSessions(sessions, Date.parse(at)) : [],
    singletons && singletons.length > 0 ? formatSingletons(singletons) : [],
  ];
  return blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n");
}

function formatConnection(connection: Connection): string {
  const { namespace } = connection;
  return withoutControls(`namespace ${namespace}; engine: ${describeEngine(connection)}`);
}

function describeEngine(connection: Connection): string {
  switch (connection.status) {
    case "connected":
      return `connected to ${connection.address}, version ${connection.engine_version}`;
    case "error":
      return `error at ${connection.address}`;
    case "not_connected":
      return `not connected, ${connection.reason}`;
  }
}

function formatSessions(sessions: readonly Session[], now: number): string[] {
  const head = ["session", "name", "state", "executor", "running", "queued", "detached", "ends in", ""];
  const rows = sessions.map((session) => [
    session.session_id,
    session.name === undefined ? "-" : `${session.name}@${session.namespace ?? ""}`,
    session.state,
    String(session.container_id),
    String(session.running),
    String(session.queued),
    session.detached ? "yes" : "no",
    endOf(session, now),
    session.reason ?? "",
  ]);
  return formatTable([head, ...rows]);
}

function formatSingletons(singletons: readonly Singleton[]): string[] {
  const rows = singletons.map(({ name, namespace, state, session_id, reason }) => [
    formatSessionName({ name, namespace }),
    state,
    session_id ?? "-",
    reason ?? "",
  ]);
  return formatTable([["singleton", "state", "session", ""], ...rows]);
}

/** In how long a session ends if nothing happens in it. */
function endOf({ expires_at, ends_at }: Session, now: number): string {
  const ends = [expires_at, ends_at].flatMap((end) => (end === null ? [] : [Date.parse(end)]));
  if (ends.length === 0) return "never";
  return formatDuration(Math.max(0, Math.min(...ends) - now) / 1000);
}

function formatDuration(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 120 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
