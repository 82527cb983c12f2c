import type { ExecutorRecord } from "./executor-records.ts";

/** An executor that there should be. */
export interface DesiredExecutor {
  number: number;
  fingerprint: string;
}

/** A recorded executor, and whether its process still runs. */
export interface ObservedExecutor {
  record: ExecutorRecord;
  running: boolean;
}

/** One thing to do, and why. */
export type Step =
  | { do: "remove" | "keep"; number: number; record: ExecutorRecord; cause: string }
  | { do: "start"; number: number; cause: string };

/**
 * What has to be done so that exactly the desired executors run. Pure: the same observation gives the same steps,
 * removals first. A running executor that fits is kept, with its kernel.
 */
export function planExecutors(
  desired: readonly DesiredExecutor[],
  observed: readonly ObservedExecutor[],
): Step[] {
  const removals: Step[] = [];
  const kept = new Map<number, ExecutorRecord>();
  for (const { record, running } of observed) {
    const { number } = record;
    const wanted = desired.find((one) => one.number === number);
    const cause = reasonToRemove(record, running, wanted);
    if (cause === undefined) kept.set(number, record);
    else removals.push({ do: "remove", number, record, cause });
  }
  const others = desired.map(({ number }): Step => {
    const record = kept.get(number);
    if (!record) return { do: "start", number, cause: "no process of it fits" };
    return { do: "keep", number, record, cause: `pid ${record.pid} runs with the same settings` };
  });
  return [...removals, ...others];
}

function reasonToRemove(
  record: ExecutorRecord,
  running: boolean,
  wanted: DesiredExecutor | undefined,
): string | undefined {
  if (!running) return `pid ${record.pid} has ended`;
  if (!wanted) return `no executor of that number is wanted (pid ${record.pid})`;
  if (record.fingerprint !== wanted.fingerprint)
    return `it was started with other settings (pid ${record.pid})`;
  return undefined;
}

/** The plan as text, a line a step. */
export function formatPlan(steps: readonly Step[]): string[] {
  return steps.map((step) => `${step.do} executor ${step.number}: ${step.cause}`);
}
