import { pino } from "pino";
import { z } from "zod";
import { ProcessBackend } from "#manager/fleet/process/process-backend.ts";
import { processSettings } from "./process-settings.ts";

/**
 * A program that owns a process backend as a manager does, to be killed: it starts the executors of the folder and
 * types that its arguments name, and prints a line when they have their places.
 */
const [folder, orphanGraceMs, ...types] = z
  .tuple([z.string(), z.coerce.number()], z.string())
  .parse(process.argv.slice(2));
const backend = new ProcessBackend(
  processSettings(folder, { types, orphanGraceMs }),
  pino({ level: "silent" }),
);
const events = { placed: () => {}, waiting: () => {}, replaced: () => {}, lost: () => {} };
await backend.start(events, new AbortController().signal);
process.stdout.write("started\n");
