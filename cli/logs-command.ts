import { Command } from "commander";
import { z } from "zod";
import { parseInteger } from "#compose/parse-limits.ts";
import { MAX_EXECUTORS } from "#compose/parse-types.ts";
import { Problems } from "#compose/parsed.ts";
import { executorLogFile } from "#manager/fleet/process-backend.ts";
import type { CliContext } from "./cli-context.ts";
import { usageError } from "./cli-error.ts";
import { DataDir } from "./data-dir.ts";
import { printFile } from "./print-file.ts";
import { StopRequested, watchStopRequests } from "./stop-requests.ts";

const flagsSchema = z.object({ dataDir: z.string().optional(), follow: z.boolean().default(false) });

/** `fleet logs [N]`: what the manager or an executor of this machine's fleet has logged since it was started. */
export function logsCommand(context: CliContext): Command {
  return new Command("logs")
    .description("Shows the manager's log, or that of executor N.")
    .argument("[n]", "number of an executor")
    .option("-f, --follow", "go on with what is logged from now on, until Ctrl-C")
    .action(async (number: string | undefined, _options: unknown, command: Command) => {
      const { dataDir, follow } = flagsSchema.parse(command.optsWithGlobals());
      const file = logFileOf(DataDir.choose(dataDir, context.env), number);
      const stop = new AbortController();
      using _watch = watchStopRequests((signal) => stop.abort(new StopRequested(signal)));
      await printFile(file, { follow, signal: stop.signal });
    });
}

function logFileOf(dataDir: DataDir, text: string | undefined): string {
  if (text === undefined) return dataDir.managerLog;
  const problems = new Problems();
  const number = problems.take("n", parseInteger(text, "number of an executor", 0, MAX_EXECUTORS - 1));
  if (number === undefined) throw usageError(problems.list);
  return executorLogFile(dataDir.logDir, number);
}
