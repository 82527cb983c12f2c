import { CliContext } from "./cli-context.ts";
import { runFleetCommand } from "./program.ts";

/** Runs the command line of this process. `mainFile` is the file that Node was started with. */
export async function startFleetCommand(mainFile: string): Promise<void> {
  // A reader that goes away is noticed where something is written.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  const context = new CliContext({
    // oxlint-disable-next-line node/no-process-env -- the one place where this process reads its environment
    env: process.env,
    args: process.argv.slice(2),
    mainFile,
  });
  await runFleetCommand(context);
}
