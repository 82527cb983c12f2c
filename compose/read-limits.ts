import type { Environment } from "./parse-environment.ts";
import { parseCpus, parseMemory, parsePids, parseTimeout } from "./parse-limits.ts";
import type { Parsed, Problems } from "./parsed.ts";

/** Limits as a user typed them. */
export interface LimitFlags {
  executionTimeout?: string | undefined;
  memory?: string | undefined;
  cpus?: string | undefined;
  pids?: string | undefined;
}

/** Longest time limit that a caller may ask for, in seconds, where nothing else is said. */
const MAX_EXECUTION_TIMEOUT_S = 3600;

/**
 * The limits of executors, each from its flag, else from its variable in the environment of executors, else a default;
 * and what of that environment is left. A limit with a problem is undefined.
 */
export function readLimits(flags: LimitFlags, given: Environment, problems: Problems) {
  const { EXECUTION_TIMEOUT, MAX_EXECUTION_TIMEOUT, MEM_LIMIT, MEM_RESERVATION, CPUS, ...environment } =
    given;
  const read = <T>(
    flag: [name: string, text: string | undefined],
    variable: [name: string, text: string | undefined],
    parse: (text: string) => Parsed<T>,
  ) => problems.takeOptional(...(flag[1] === undefined ? variable : flag), parse);
  const executionTimeout = read(
    ["--execution-timeout", flags.executionTimeout],
    ["EXECUTION_TIMEOUT", EXECUTION_TIMEOUT],
    parseTimeout,
  );
  const maxExecutionTimeout =
    MAX_EXECUTION_TIMEOUT === undefined
      ? Math.max(MAX_EXECUTION_TIMEOUT_S, executionTimeout ?? 0)
      : problems.take("MAX_EXECUTION_TIMEOUT", parseTimeout(MAX_EXECUTION_TIMEOUT));
  if (
    maxExecutionTimeout !== undefined &&
    executionTimeout !== undefined &&
    executionTimeout > maxExecutionTimeout
  )
    problems.add(
      "MAX_EXECUTION_TIMEOUT",
      `${maxExecutionTimeout} is less than the time limit of an execution, ${executionTimeout}`,
    );
  return {
    environment,
    executionTimeout,
    maxExecutionTimeout,
    limits: {
      memoryBytes: read(["--memory", flags.memory], ["MEM_LIMIT", MEM_LIMIT], parseMemory),
      memoryReservationBytes: problems.takeOptional("MEM_RESERVATION", MEM_RESERVATION, parseMemory),
      cpus: read(["--cpus", flags.cpus], ["CPUS", CPUS ?? "0.25"], parseCpus),
      pids: problems.take("--pids", parsePids(flags.pids ?? "256")),
    },
  };
}
