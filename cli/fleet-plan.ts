import type { FleetSpec } from "#compose/fleet-spec.ts";
import type { CliContext } from "./cli-context.ts";
import type { DataDir } from "./data-dir.ts";
import type { Reporter } from "./reporter.ts";

/** Everything that a backend is made from. */
export interface FleetPlan {
  spec: FleetSpec;
  projectDir: string;
  dataDir: DataDir;
  /** Secret that outlives the manager. */
  secret: string;
  /** Directory of each executor for what user code hands in, by number. */
  submissionDirectories: readonly string[] | undefined;
  context: CliContext;
  reporter: Reporter;
  /** Aborted when the user asks to stop. */
  signal: AbortSignal;
  /** Set where nothing is to be made: it is told what would be, and why. */
  insteadOfMaking?: (step: string) => void;
}
