import { chmod, mkdir } from "node:fs/promises";
import { submissionDirectory } from "#compose/executor-link.ts";
import { plannedExecutors, type FleetSpec } from "#compose/fleet-spec.ts";
import type { CliContext } from "./cli-context.ts";
import type { DataDir } from "./data-dir.ts";
import type { Reporter } from "./reporter.ts";

/** Everything that a backend is made from. */
export interface FleetPlan {
  spec: FleetSpec;
  projectDir: string;
  dataDir: DataDir;
  /** Directory of each executor for what user code hands in, by number. */
  submissionDirectories: readonly string[] | undefined;
  context: CliContext;
  reporter: Reporter;
  /** Aborted when the user asks to stop. */
  signal: AbortSignal;
}

/**
 * Makes the submission directories that a spec asks for. User code may run as another user: they are open to all,
 * inside a parent that is not. What is there already is left as it is.
 */
export async function makeSubmissionDirectories(spec: FleetSpec): Promise<string[] | undefined> {
  const parent = spec.submissionsDirectory;
  if (parent === undefined) return undefined;
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const directories = plannedExecutors(spec).map(({ number }) => submissionDirectory(parent, number));
  for (const directory of directories) {
    if ((await mkdir(directory, { recursive: true })) !== undefined) await chmod(directory, 0o777);
  }
  return directories;
}
