import type { FleetSpec } from "#compose/fleet-spec.ts";
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
