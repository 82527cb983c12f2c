import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { z } from "zod";
import { parseTimeout } from "#compose/parse-limits.ts";
import { Problems } from "#compose/parsed.ts";
import type { CliContext } from "./cli-context.ts";
import { EXIT_FAILURE, usageError } from "./cli-error.ts";
import { findFleet } from "./find-fleet.ts";
import { lookAtFleet, type FleetLook } from "./fleet-look.ts";
import { formatLook } from "./format-look.ts";
import { LiveText } from "./live-text.ts";
import { writeOut } from "./reporter.ts";
import { endBySignal, StopRequested, watchStopRequests } from "./stop-requests.ts";

const flagsSchema = z.object({
  url: z.string().optional(),
  dataDir: z.string().optional(),
  interval: z.string().default("1"),
  once: z.boolean().default(false),
  json: z.boolean().default(false),
});
type Flags = z.infer<typeof flagsSchema>;

/** `fleet monitor`: what executors and sessions are doing, again and again; its exit code says whether all is well. */
export function monitorCommand(context: CliContext): Command {
  return new Command("monitor")
    .description("Shows executors and sessions with their states, again and again, until Ctrl-C.")
    .option("--url <url>", "manager to ask (default: FLEET_URL, else the fleet of the data folder)")
    .option("--interval <seconds>", "time between two looks (default: 1)")
    .option("--once", "look once and end")
    .option("--json", "a JSON document a look, each in one line")
    .addHelpText("after", "\nExit code: 1 when something is down at the last look, else 0.")
    .action(async (_options: unknown, command: Command) => {
      await monitor(flagsSchema.parse(command.optsWithGlobals()), context);
    });
}

async function monitor(flags: Flags, context: CliContext): Promise<void> {
  const problems = new Problems();
  const intervalS = problems.take("--interval", parseTimeout(flags.interval));
  if (intervalS === undefined) throw usageError(problems.list);
  const stop = new AbortController();
  using _watch = watchStopRequests((name, nth) => {
    if (nth > 1) endBySignal(name);
    stop.abort(new StopRequested(name));
  });
  const { signal } = stop;
  const show = showing(flags.json);
  let hasLooked = false;
  try {
    do {
      // Found anew each time: a fleet that was started again may be elsewhere.
      const look = await lookAtFleet(() => findFleet(flags, context), signal);
      await show(look);
      process.exitCode = look.down.length === 0 ? 0 : EXIT_FAILURE;
      hasLooked = true;
      if (!flags.once) await delay(intervalS * 1000, undefined, { signal });
    } while (!flags.once);
  } catch (error) {
    // Being stopped is how it ends: the last look counts.
    if (!signal.aborted) throw error;
    if (!hasLooked) throw signal.reason;
  }
}

/** How looks are shown: as JSON, in place on a terminal, else one below the other. */
function showing(json: boolean): (look: FleetLook) => Promise<void> {
  if (json) return (look) => writeOut("stdout", `${JSON.stringify(look)}\n`);
  if (!process.stdout.isTTY) return (look) => writeOut("stdout", `${formatLook(look)}\n`);
  const live = new LiveText();
  return (look) => {
    // A terminal may not know its size.
    const size = { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 };
    return writeOut("stdout", live.draw(formatLook(look), size));
  };
}
