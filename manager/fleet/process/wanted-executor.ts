import { createHash } from "node:crypto";
import { join } from "node:path";
import { executorDigits } from "#compose/fleet-spec.ts";
import type { ResetKind } from "#contract/executor-api.ts";
import { executorNumberSchema, type ExecutorNumber } from "#contract/ids.ts";

export interface ProcessBackendSettings {
  /** The type of each executor, in the order of their numbers. */
  types: readonly string[];
  /** How the operator wants executors of a type to be cleared between two tenants. */
  resets?: Readonly<Record<string, ResetKind>>;
  /** Command line that starts one executor. */
  command: readonly string[];
  /** Environment of every executor, and what a type adds to it. */
  env: Readonly<Record<string, string>>;
  envOfType: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Directory of each executor for what user code hands in, by number. */
  submissionDirectories?: readonly string[];
  /** Folder for one log file per executor. */
  logDir: string;
  /** Folder of this fleet alone that outlives its managers; made when it is not there. */
  stateDir: string;
  /** How long executors wait for the next manager when theirs is gone. Default: a minute. */
  orphanGraceMs?: number;
}

/** An executor that there should be, with all that it is started with but its place. */
export interface WantedExecutor {
  number: ExecutorNumber;
  type: string;
  command: readonly string[];
  env: Readonly<Record<string, string>>;
  /** Hash of type, command and environment: an executor with another one was started with other settings. */
  fingerprint: string;
  logFile: string;
}

const DEFAULT_ORPHAN_GRACE_MS = 60_000;

/** The file in a log folder to which one executor writes. */
export function executorLogFile(logDir: string, number: number): string {
  return join(logDir, `executor-${executorDigits(number)}.log`);
}

export function wantedExecutors(settings: ProcessBackendSettings): WantedExecutor[] {
  const { types, command, submissionDirectories, logDir, orphanGraceMs } = settings;
  return types.map((type, index) => {
    const submissionDirectory = submissionDirectories?.[index];
    const env = {
      ...settings.env,
      ...settings.envOfType[type],
      ...(submissionDirectory === undefined ? {} : { SUBMISSION_DIR: submissionDirectory }),
      // When its manager is gone, however that came, it ends by itself, unless another one takes it up in time.
      EXECUTOR_STOP_WITH_STDIN: "1",
      EXECUTOR_ORPHAN_GRACE: String((orphanGraceMs ?? DEFAULT_ORPHAN_GRACE_MS) / 1000),
    };
    const sortedEnv = Object.entries(env).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const fingerprint = createHash("sha256")
      .update(JSON.stringify([type, command, sortedEnv]))
      .digest("hex");
    const number = executorNumberSchema.parse(index);
    return { number, type, command, env, fingerprint, logFile: executorLogFile(logDir, index) };
  });
}
