import type { Outcome } from "#contract/execution.ts";

/** Exit codes of `fleet run` and `fleet exec`; those of signals and time limits are what a shell would say. */
export const EXIT_CODE_OF_OUTCOME: Readonly<Record<Outcome, number>> = {
  ok: 0,
  error: 1,
  output_limit: 3,
  kernel_died: 4,
  executor_lost: 5,
  restarted: 6,
  timed_out: 124,
  interrupted: 130,
  oom_killed: 137,
};

/** What `--help` says of them. */
export const EXIT_CODE_HELP = [
  "Exit codes:",
  ...Object.entries(EXIT_CODE_OF_OUTCOME).map(([outcome, code]) => `  ${String(code).padEnd(5)}${outcome}`),
  "  1    nothing ran: the fleet was not reached, or refused",
  "  2    the command line cannot be meant",
].join("\n");
