#!/usr/bin/env node
import { problemOfNode } from "./node-version.ts";

// Everything else is loaded only after the look at the version: an old Node cannot even read it.
const problem = problemOfNode(process.versions.node);
if (problem !== undefined) {
  process.stderr.write(`error: ${problem}\n`);
  process.exitCode = 1;
} else {
  const { startFleetCommand } = await import("./start-command.ts");
  await startFleetCommand(import.meta.filename);
}
