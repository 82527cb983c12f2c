import { mkdir } from "node:fs/promises";
import type { Logger } from "pino";
import type { ExecutorNumber } from "#contract/ids.ts";
import type { Backend, BackendEvents, ExecutorPlan, Loss } from "#manager/fleet/backend.ts";
import { endRecorded } from "./end-leftovers.ts";
import { ExecutorRecords } from "./executor-records.ts";
import { formatPlan, planExecutors, type Step } from "./plan.ts";
import { isRunning } from "./process-identity.ts";
import { SupervisedExecutor } from "./supervised-executor.ts";
import { wantedExecutors, type ProcessBackendSettings, type WantedExecutor } from "./wanted-executor.ts";

/**
 * Executors as processes of this machine, which outlive a manager that is killed: the next one takes up those that run
 * with the settings that it would start them with.
 */
export class ProcessBackend implements Backend {
  readonly name = "process";
  readonly warnings: readonly string[];
  readonly #wanted: readonly WantedExecutor[];
  readonly #logDir: string;
  readonly #records: ExecutorRecords;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #executors = new Map<ExecutorNumber, SupervisedExecutor>();

  constructor(settings: ProcessBackendSettings, log: Logger) {
    this.#wanted = wantedExecutors(settings);
    this.#logDir = settings.logDir;
    this.#records = new ExecutorRecords(settings.stateDir);
    this.#log = log;
    this.warnings = warningsOf(settings);
  }

  async plan(): Promise<ExecutorPlan[]> {
    return this.#wanted.map(({ number, type }) => ({ number, type, reset: "kernel" }));
  }

  async preview(signal: AbortSignal): Promise<string[]> {
    const steps = await this.#steps();
    signal.throwIfAborted();
    return formatPlan(steps);
  }

  async start(events: BackendEvents, signal: AbortSignal): Promise<void> {
    await mkdir(this.#logDir, { recursive: true });
    await this.#records.make();
    const steps = await this.#steps();
    signal.throwIfAborted();
    this.#log.info({ plan: formatPlan(steps) }, "executors are taken up or started");
    await endRecorded(this.#records, recordsOf(steps, "remove"));
    for (const { number } of this.#wanted) {
      const removal = steps.find((step) => step.do === "remove" && step.number === number);
      if (removal) events.replaced(number, `its process was replaced: ${removal.cause}`);
    }
    const kept = recordsOf(steps, "keep");
    await this.#records.removeOthers(kept);
    signal.throwIfAborted();
    this.#stop.signal.throwIfAborted();
    await Promise.all(
      this.#wanted.map(async (wanted) => {
        const executor = new SupervisedExecutor(wanted, this.#records, events, this.#log);
        this.#executors.set(wanted.number, executor);
        await executor.begin(
          kept.find(({ number }) => number === wanted.number),
          signal,
        );
      }),
    );
  }

  async restart(number: ExecutorNumber, signal: AbortSignal): Promise<void> {
    const executor = this.#executors.get(number);
    if (!executor) throw new Error(`executor ${number} has not been started yet`);
    await executor.restart(signal);
  }

  async explainLoss(number: ExecutorNumber, signal: AbortSignal): Promise<Loss | undefined> {
    return await this.#executors.get(number)?.explainLoss(signal);
  }

  /** @throws {AggregateError} of all that does not end, after everything else has */
  async stop(kept: ReadonlySet<ExecutorNumber>): Promise<void> {
    // A start that is under way begins no executor after this.
    this.#stop.abort(new Error("the fleet stops"));
    const stops = await Promise.allSettled(
      [...this.#executors].map(([number, executor]) => executor.stop(kept.has(number))),
    );
    const failures = stops.flatMap((result): unknown[] =>
      result.status === "rejected" ? [result.reason] : [],
    );
    if (failures.length > 0) throw new AggregateError(failures, "executors are left behind");
    await this.#records.removeFolder();
  }

  async #steps(): Promise<Step[]> {
    const records = await this.#records.list();
    const observed = await Promise.all(
      records.map(async (record) => ({ record, running: await isRunning(record) })),
    );
    return planExecutors(this.#wanted, observed);
  }
}

function recordsOf(steps: readonly Step[], what: "keep" | "remove") {
  return steps.flatMap((step) => (step.do === what ? [step.record] : []));
}

function warningsOf({ types, resets }: ProcessBackendSettings): string[] {
  const unreached = [...new Set(types)].filter((type) => resets?.[type] === "container");
  return [
    "Executors run as plain processes: user code has the rights of the user who started the fleet. " +
      "Use Docker for code that you do not trust.",
    ...unreached.map(
      (type) =>
        `Processes have kernel resets only: the reset "container" of type ${type} needs Docker. ` +
        "Files and processes that a session leaves behind stay.",
    ),
  ];
}
