import { Command, CommanderError } from "commander";
import { errorText } from "#contract/errors.ts";
import { FleetError } from "#client/fleet-error.ts";
import type { CliContext } from "./cli-context.ts";
import { CliError, EXIT_FAILURE, EXIT_USAGE } from "./cli-error.ts";
import { downCommand } from "./down-command.ts";
import { logsCommand } from "./logs-command.ts";
import { monitorCommand } from "./monitor-command.ts";
import { planCommand } from "./plan-command.ts";
import { reporter } from "./reporter.ts";
import { execCommand, runCommand } from "./run-command.ts";
import { statusCommand } from "./status-command.ts";
import { StopRequested } from "./stop-requests.ts";
import { upCommand } from "./up-command.ts";

/**
 * Runs one `fleet` command and sets the exit code of this process. What fails is told in a line or two; the trace is
 * shown with `--verbose` only.
 */
export async function runFleetCommand(context: CliContext): Promise<void> {
  const program = new Command("fleet")
    .description("A fleet of stateful code executors on this machine.")
    .option("--data-dir <dir>", "folder of the fleet (default: FLEET_DATA_DIR, else one in the user's state)")
    .option("--verbose", "show logs and the traces of errors")
    .configureHelp({ showGlobalOptions: true });
  program.exitOverride();
  const commands = [
    upCommand(context),
    planCommand(context),
    downCommand(context),
    statusCommand(context),
    monitorCommand(context),
    runCommand(context),
    execCommand(context),
    logsCommand(context),
  ];
  for (const command of commands) program.addCommand(command.copyInheritedSettings(program));
  try {
    await program.parseAsync(context.args, { from: "user" });
  } catch (error) {
    process.exitCode = explain(error, program.opts()["verbose"] === true);
  }
}

/** Tells what went wrong and returns the exit code for it. */
function explain(error: unknown, verbose: boolean): number {
  // Commander has told already what it did not understand; `--help` ends here, too.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  if (error instanceof StopRequested) return error.exitCode;
  // A reader of the output that has read enough, such as `head`.
  if (error instanceof Error && "code" in error && error.code === "EPIPE") return EXIT_FAILURE;
  if (verbose && error instanceof Error) reporter.warn(error.stack ?? error.message);
  else reporter.warn(`error: ${messageOf(error)}`);
  return error instanceof CliError ? error.exitCode : EXIT_FAILURE;
}

function messageOf(error: unknown): string {
  if (error instanceof CliError) return error.message;
  if (error instanceof FleetError) return error.hint ? `${error.message}\n${error.hint}` : error.message;
  return errorText(error);
}
