import { Command } from "commander";
import { z } from "zod";
import type { ExecutorStatus, Status } from "#contract/manager-api.ts";
import type { CliContext } from "./cli-context.ts";
import { findFleet } from "./find-fleet.ts";
import { reporter } from "./reporter.ts";

const flagsSchema = z.object({
  url: z.string().optional(),
  dataDir: z.string().optional(),
  json: z.boolean().default(false),
});

const ANSWER_LIMIT_MS = 10_000;

/** `fleet status`: what every executor is doing. */
export function statusCommand(context: CliContext): Command {
  return new Command("status")
    .description("Shows what every executor is doing.")
    .option("--url <url>", "manager to ask (default: FLEET_URL, else the fleet of the data folder)")
    .option("--json", "the manager's reply as it is")
    .action(async (_options: unknown, command: Command) => {
      const flags = flagsSchema.parse(command.optsWithGlobals());
      await using client = await findFleet(flags, context);
      const status = await client.status({ signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
      reporter.say(flags.json ? JSON.stringify(status) : formatStatus(status));
    });
}

/** A status as a human reads it: totals, a table of executors, warnings. */
export function formatStatus(status: Status): string {
  const counts = [
    `${status.available_containers} free`,
    `${status.allocated_containers} allocated`,
    ...optional(status.starting_containers, "starting"),
    ...optional(status.resetting_containers, "resetting"),
    ...optional(status.unhealthy_containers, "unhealthy"),
    ...optional(status.waiting_allocations, "waiting for one"),
  ];
  return [
    `${status.total_containers} executors (${status.backend}): ${counts.join(", ")}`,
    "",
    ...table([["executor", "type", "state", "session", ""], ...status.executors.map(row)]),
    ...[...status.warnings, ...status.executors.flatMap(({ warnings }) => warnings)]
      .filter((warning, index, all) => all.indexOf(warning) === index)
      .map((warning) => `\nwarning: ${warning}`),
  ].join("\n");
}

function optional(count: number, what: string): string[] {
  return count === 0 ? [] : [`${count} ${what}`];
}

function row({ container_id, type, state, session_id, reason }: ExecutorStatus): string[] {
  return [String(container_id), type, state, session_id ?? "-", reason ?? ""];
}

/** Rows with each column as wide as its widest cell. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (widest, cells) => cells.map((cell, column) => Math.max(widest[column] ?? 0, cell.length)),
    [],
  );
  return rows.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
