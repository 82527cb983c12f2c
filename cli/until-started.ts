import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "#contract/errors.ts";
import type { Executor } from "#manager/fleet/executor.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { CliError } from "./cli-error.ts";
import type { Reporter } from "./reporter.ts";

/** How long a start may take until it is told what it waits for, and how often that is looked at then. */
const PATIENCE_MS = 5_000;

/**
 * Waits until every executor is ready, or known not to be, and tells what is wrong with which.
 *
 * @throws {CliError} when none is ready; or the signal's reason
 */
export async function untilStarted(
  { fleet }: RunningManager,
  { logDir, reporter, signal }: { logDir: string; reporter: Reporter; signal: AbortSignal },
): Promise<void> {
  const { executors } = fleet;
  const started = new AbortController();
  const explaining = explainSlowStart(executors, reporter, started.signal);
  try {
    await Promise.all(
      executors.map((executor) => fleet.waitForState(executor, ({ name }) => name !== "starting", signal)),
    );
  } finally {
    started.abort();
    await explaining;
  }
  const failures = executors.flatMap(({ number, state }) =>
    state.name === "unhealthy" ? [`executor ${number} does not start: ${state.reason}`] : [],
  );
  if (failures.length === executors.length) {
    throw new CliError([...failures, `Their logs are in ${logDir}`].join("\n"));
  }
  for (const failure of failures) reporter.warn(`warning: ${failure}; its log is in ${logDir}`);
  for (const warning of new Set(executors.flatMap(({ warnings }) => warnings)))
    reporter.warn(`warning: ${warning}`);
}

/** Tells of executors that take long what each of them says about it, once for everything that one says. */
async function explainSlowStart(
  executors: readonly Executor[],
  reporter: Reporter,
  signal: AbortSignal,
): Promise<void> {
  const told = new Set<string>();
  for (;;) {
    await delay(PATIENCE_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const starting = executors.filter(({ state }) => state.name === "starting");
    const lines = await Promise.all(
      starting.map(async ({ number, client }) => {
        const bounded = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
        const reason = await client.ready(bounded).then(({ reason: text }) => text, errorText);
        return `executor ${number} is not ready yet: ${reason ?? "it says no reason"}`;
      }),
    );
    for (const line of lines) {
      if (!told.has(line) && !signal.aborted) reporter.warn(line);
      told.add(line);
    }
  }
}
