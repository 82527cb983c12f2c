#!/usr/bin/env node
import { CliContext } from "./cli-context.ts";
import { runFleetCommand } from "./program.ts";

// A reader that goes away is noticed where something is written.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

const context = new CliContext({
  // oxlint-disable-next-line node/no-process-env -- the one place where this process reads its environment
  env: process.env,
  args: process.argv.slice(2),
  mainFile: import.meta.filename,
});
await runFleetCommand(context);
