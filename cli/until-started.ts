import { once } from "node:events";
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
 * @throws {CliError} when none is ready; what stops the backend from starting; or the signal's reason
 */
export async function untilStarted(
  { fleet, started }: Pick<RunningManager, "fleet" | "started">,
  { logDir, reporter, signal }: { logDir: string; reporter: Reporter; signal: AbortSignal },
): Promise<void> {
  signal.throwIfAborted();
  const { executors } = fleet;
  const over = new AbortController();
  const explaining = explainSlowStart(executors, reporter, over.signal);
  const ready = executors.map((executor) =>
    fleet.waitForState(executor, ({ name }) => name !== "starting", signal),
  );
  try {
    await Promise.race([Promise.all([started, ...ready]), once(signal, "abort", { signal: over.signal })]);
    signal.throwIfAborted();
  } finally {
    over.abort();
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

/** Tells of executors that take long what they wait for, once for everything that several wait for. */
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
    const reasons = await Promise.all(starting.map((executor) => reasonOf(executor, signal)));
    if (signal.aborted) return;
    const numbers = Map.groupBy(starting, (_, index) => reasons[index] ?? "");
    for (const [reason, those] of numbers) {
      if (!told.has(reason)) reporter.warn(`${namesOf(those)} not ready yet: ${reason}`);
      told.add(reason);
    }
  }
}

async function reasonOf(executor: Executor, signal: AbortSignal): Promise<string> {
  const { state, url } = executor;
  // Without a place there is nobody to ask.
  if (url === undefined) return "reason" in state ? state.reason : state.name;
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]);
  const reason = await executor.client.ready(bounded).then((ready) => ready.reason, errorText);
  return reason ?? "it says no reason";
}

function namesOf(executors: readonly Executor[]): string {
  const numbers = executors.map(({ number }) => number).join(", ");
  return executors.length === 1 ? `executor ${numbers} is` : `executors ${numbers} are`;
}
