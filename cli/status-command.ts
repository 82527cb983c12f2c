import { Command } from "commander";
import { z } from "zod";
import type { CliContext } from "./cli-context.ts";
import { findFleet } from "./find-fleet.ts";
import { formatStatus } from "./format-status.ts";
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
