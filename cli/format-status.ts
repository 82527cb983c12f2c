import type { ExecutorStatus, Status } from "#contract/manager-api.ts";
import { formatTable, withoutControls } from "./table.ts";

/** A status as a human reads it: totals, a table of executors, warnings. */
export function formatStatus(status: Status): string {
  return [
    formatTotals(status),
    "",
    ...formatExecutors(status.executors),
    ...[...status.warnings, ...status.executors.flatMap(({ warnings }) => warnings)]
      .filter((warning, index, all) => all.indexOf(warning) === index)
      .map((warning) => `\nwarning: ${withoutControls(warning)}`),
  ].join("\n");
}

/** How many executors there are, and in which states. */
export function formatTotals(status: Status): string {
  const counts = [
    `${status.available_containers} free`,
    `${status.allocated_containers} allocated`,
    ...optional(status.starting_containers, "starting"),
    ...optional(status.resetting_containers, "resetting"),
    ...optional(status.unhealthy_containers, "unhealthy"),
    ...optional(status.waiting_allocations, "waiting for one"),
  ];
  return `${status.total_containers} executors (${status.backend}): ${counts.join(", ")}`;
}

export function formatExecutors(executors: readonly ExecutorStatus[]): string[] {
  return formatTable([["executor", "type", "state", "session", ""], ...executors.map(row)]);
}

function optional(count: number, what: string): string[] {
  return count === 0 ? [] : [`${count} ${what}`];
}

function row({ container_id, type, state, session_id, reason }: ExecutorStatus): string[] {
  return [String(container_id), type, state, session_id ?? "-", reason ?? ""];
}
