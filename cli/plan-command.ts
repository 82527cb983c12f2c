import { Command } from "commander";
import { pino } from "pino";
import { z } from "zod";
import { plannedExecutors } from "#compose/fleet-spec.ts";
import { chooseBackend, describeChoice } from "./choose-backend.ts";
import type { CliContext } from "./cli-context.ts";
import { DataDir } from "./data-dir.ts";
import { findPath } from "./find-path.ts";
import { makeBackend } from "./make-backend.ts";
import { reporter } from "./reporter.ts";
import { StopRequested, watchStopRequests } from "./stop-requests.ts";
import { submissionPaths } from "./submission-directories.ts";
import { assertTakesUp } from "./takes-up.ts";
import { upFlagsSchema, withUpFlags, type UpFlags } from "./up-flags.ts";
import { readUpSettings } from "./up-settings.ts";

const flagsSchema = upFlagsSchema.extend({ json: z.boolean().default(false) });

/** What `fleet up` would do. */
interface Plan {
  backend: string;
  /** How the backend was chosen. */
  choice: string;
  /** What would be done and why, in order. */
  steps: string[];
}

/** `fleet plan`: what `fleet up` with the same flags would do now, and why; none of it is done. */
export function planCommand(context: CliContext): Command {
  return withUpFlags(new Command("plan"))
    .description("Shows what fleet up with the same flags would do now, and why, and does nothing.")
    .option("--json", "as one JSON document")
    .action(async (_options: unknown, command: Command) => {
      const flags = flagsSchema.parse(command.optsWithGlobals());
      const dataDir = DataDir.choose(flags.dataDir, context.env);
      const plan = await planFleet(flags, dataDir, context);
      if (await dataDir.isHeld())
        reporter.warn(`warning: ${await dataDir.describeHolder()}: fleet up refuses while it does`);
      reporter.say(
        flags.json ? JSON.stringify({ backend: plan.backend, steps: plan.steps }) : formatPlan(plan),
      );
    });
}

async function planFleet(flags: UpFlags, dataDir: DataDir, context: CliContext): Promise<Plan> {
  const stop = new AbortController();
  const { signal } = stop;
  using _watch = watchStopRequests((name) => stop.abort(new StopRequested(name)));
  const { spec } = await readUpSettings(flags, context.env, dataDir);
  const steps: string[] = [];
  const choice = await chooseBackend(flags.backend, context.env, signal);
  assertTakesUp(choice, (await dataDir.readState())?.backend, context);

  const { submissionsDirectory } = spec;
  const submissionDirectories =
    submissionsDirectory === undefined
      ? undefined
      : submissionPaths(submissionsDirectory, plannedExecutors(spec).length);
  for (const path of [dataDir.path, ...(submissionDirectories ?? [])]) {
    if ((await findPath(path, path)).kind === "missing") steps.push(`make folder ${path}: it is not there`);
  }
  const backend = await makeBackend(
    choice,
    {
      spec,
      projectDir: context.projectDir,
      dataDir,
      // Nothing that was made without it could be taken up.
      secret: (await dataDir.knownSecret()) ?? "",
      submissionDirectories,
      context,
      reporter: { say: reporter.warn, warn: reporter.warn },
      signal,
      insteadOfMaking: (step) => steps.push(step),
    },
    pino({ level: "silent" }),
  );
  if ("waitsFor" in choice) steps.push(`wait for the Docker engine: ${choice.waitsFor}`);
  else steps.push(...(await backend.preview(signal)));
  return { backend: choice.name, choice: describeChoice(choice), steps };
}

/** A plan as a human reads it. What is only kept is nothing to do. */
function formatPlan({ choice, steps }: Plan): string {
  const isIdle = steps.every((step) => step.startsWith("keep "));
  return [choice, ...steps, ...(isIdle ? ["nothing to do"] : [])].join("\n");
}
