import { Command } from "commander";
import { z } from "zod";
import { parseInteger } from "#compose/parse-limits.ts";
import { MAX_EXECUTORS } from "#compose/parse-types.ts";
import { Problems } from "#compose/parsed.ts";
import { errorText } from "#contract/errors.ts";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { containerName } from "#manager/fleet/docker/executor-container.ts";
import { executorLogFile } from "#manager/fleet/process/wanted-executor.ts";
import type { CliContext } from "./cli-context.ts";
import { CliError, usageError } from "./cli-error.ts";
import { DataDir } from "./data-dir.ts";
import { writeOut } from "./reporter.ts";
import { printFile } from "./print-file.ts";
import { StopRequested, watchStopRequests } from "./stop-requests.ts";

const flagsSchema = z.object({ dataDir: z.string().optional(), follow: z.boolean().default(false) });

/** `fleet logs [N]`: what the manager or an executor of this machine's fleet has logged since it was started. */
export function logsCommand(context: CliContext): Command {
  return new Command("logs")
    .description("Shows the manager's log, or that of executor N.")
    .argument("[n]", "number of an executor")
    .option("-f, --follow", "go on with what is logged from now on, until Ctrl-C")
    .action(async (text: string | undefined, _options: unknown, command: Command) => {
      const flags = flagsSchema.parse(command.optsWithGlobals());
      const dataDir = DataDir.choose(flags.dataDir, context.env);
      const number = text === undefined ? undefined : parseNumber(text);
      const stop = new AbortController();
      using _watch = watchStopRequests((signal) => stop.abort(new StopRequested(signal)));
      await printLog(dataDir, number, { follow: flags.follow, signal: stop.signal });
    });
}

function parseNumber(text: string): number {
  const problems = new Problems();
  const number = problems.take("n", parseInteger(text, "number of an executor", 0, MAX_EXECUTORS - 1));
  if (number === undefined) throw usageError(problems.list);
  return number;
}

async function printLog(
  dataDir: DataDir,
  number: number | undefined,
  options: { follow: boolean; signal: AbortSignal },
): Promise<void> {
  if (number === undefined) return await printFile(dataDir.managerLog, options);
  if ((await dataDir.readState())?.backend !== "docker")
    return await printFile(executorLogFile(dataDir.logDir, number), options);
  const name = containerName({ fleetId: dataDir.fleetName, number });
  try {
    for await (const chunk of await new Engine().logs(name, options)) await writeOut("stdout", chunk);
  } catch (error) {
    options.signal.throwIfAborted();
    throw new CliError(`there is no log of container ${name}: ${errorText(error)}`, { cause: error });
  }
}
