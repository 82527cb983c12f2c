import { createHmac } from "node:crypto";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import PQueue from "p-queue";
import pRetry from "p-retry";
import type { Logger } from "pino";
import { memoryBytesOf, plannedExecutors, type FleetSpec } from "#compose/fleet-spec.ts";
import { errorText } from "#contract/errors.ts";
import { executorNumberSchema, type ExecutorNumber } from "#contract/ids.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import type { ExecutorSpec } from "#manager/fleet/executor.ts";
import { Endpoints } from "./endpoints.ts";
import type { ContainerOptions, DeathEvent, Engine } from "./engine.ts";
import { containerOptions, containerUrl, type ExecutorContainer } from "./executor-container.ts";
import { ensureImage } from "./executor-image.ts";
import {
  EXECUTOR_LABEL,
  FINGERPRINT_LABEL,
  FLEET_LABEL,
  formatPlan,
  planContainers,
  type Step,
} from "./plan.ts";
import { removeFleet } from "./remove-fleet.ts";

/** What `fleet up` asks of the docker backend; the rest of a spec is for Compose files. */
export type DockerFleetSpec = Pick<
  FleetSpec,
  "name" | "types" | "limits" | "environment" | "executionTimeout" | "maxExecutionTimeout" | "codeDirectory"
>;

export interface DockerBackendSettings {
  spec: DockerFleetSpec;
  /** Directory of each executor for what user code hands in, by number. */
  submissionDirectories?: readonly string[];
  /** The project's folder, which images are built from. */
  projectDir: string;
  /** Folder for what has to outlive the manager. */
  dataDir: string;
  /** Secret that the executors' tokens are made of: with the same secret a manager can take up its containers. */
  secret: string;
  onProgress: (line: string) => void;
}

/** How long the engine may take to start a container again that ended by itself. */
const ENGINE_RESTART_MS = 2_000;
const MIN_RETRY_DELAY_MS = 200;
const MAX_RETRY_DELAY_MS = 10_000;

/** A container that there should be, with all that the engine is told of it. */
interface Desired {
  container: ExecutorContainer;
  options: ContainerOptions;
  number: number;
  fingerprint: string;
}

/** Executors as containers of a Docker engine, made and removed by observe, plan, apply. */
export class DockerBackend implements Backend {
  readonly name = "docker";
  readonly warnings: string[] = [];
  readonly #settings: DockerBackendSettings;
  readonly #engine: Engine;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  /** One look at the engine and what follows from it at a time. */
  readonly #reconciling = new PQueue({ concurrency: 1 });
  #endpoints: Endpoints | undefined;
  #desired: Desired[] = [];
  /** The container that serves each number, as far as is known. */
  readonly #containerIds = new Map<number, string>();
  #onLost: (number: ExecutorNumber, reason: string) => void = () => {};
  #watching: Promise<void> = Promise.resolve();

  constructor(settings: DockerBackendSettings, engine: Engine, log: Logger) {
    this.#settings = settings;
    this.#engine = engine;
    this.#log = log;
  }

  async start(
    onLost: (number: ExecutorNumber, reason: string) => void,
    signal: AbortSignal,
  ): Promise<ExecutorSpec[]> {
    const { spec, dataDir } = this.#settings;
    this.#endpoints = await Endpoints.choose(this.#engine, { fleetId: spec.name, dataDir });
    this.warnings.push(...this.#endpoints.warnings);
    const images = await this.#images(signal);
    signal.throwIfAborted();
    this.#desired = await Promise.all(
      plannedExecutors(spec).map((planned) => this.#describe(planned, images)),
    );
    // Subscribed before the look at what runs, so that a removal comes either before the look or as an event.
    const deaths = await this.#subscribe();
    await this.#reconcile();
    this.#onLost = onLost;
    this.#watching = this.#watch(deaths);
    return this.#desired.map(({ container }) => ({
      number: executorNumberSchema.parse(container.number),
      type: container.type,
      url: containerUrl(container),
      token: container.token,
    }));
  }

  async restart(number: ExecutorNumber): Promise<void> {
    const id = this.#containerIds.get(number);
    if (id !== undefined) await this.#engine.restart(id);
  }

  /**
   * Removes every container of this fleet.
   *
   * @throws {Error} that names what is left
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    this.#desired = [];
    await this.#reconciling.add(() => removeFleet(this.#engine, this.#settings.spec.name));
    await this.#endpoints?.[Symbol.asyncDispose]();
  }

  /** The image of each type. Builds run one after the other: each has all cores. */
  async #images(signal: AbortSignal): Promise<Map<string, string>> {
    const { spec, projectDir, onProgress } = this.#settings;
    const images = new Map<string, string>();
    for (const { type, image } of spec.types) {
      images.set(type, image ?? (await ensureImage(this.#engine, projectDir, type, { onProgress, signal })));
    }
    return images;
  }

  async #describe(
    { number, type }: { number: number; type: string },
    images: ReadonlyMap<string, string>,
  ): Promise<Desired> {
    const { spec, secret, submissionDirectories } = this.#settings;
    const endpoint = await this.#endpoints?.of(number);
    const image = images.get(type);
    if (!endpoint || image === undefined) throw new Error(`executor ${number} has no endpoint or image`);
    const submissionDirectory = submissionDirectories?.[number];
    const container: ExecutorContainer = {
      fleetId: spec.name,
      number,
      type,
      image,
      endpoint,
      token: createHmac("sha256", secret).update(`${spec.name}/${number}`).digest("hex"),
      environment: {
        ...spec.environment,
        EXECUTION_TIMEOUT: String(spec.executionTimeout),
        MAX_EXECUTION_TIMEOUT: String(spec.maxExecutionTimeout),
      },
      memoryBytes: memoryBytesOf(spec.limits, type),
      cpus: spec.limits.cpus,
      pids: spec.limits.pids,
      ...(spec.codeDirectory === undefined ? {} : { codeDirectory: spec.codeDirectory }),
      ...(submissionDirectory === undefined ? {} : { submissionDirectory }),
    };
    const options = containerOptions(container);
    return { container, options, number, fingerprint: options.Labels?.[FINGERPRINT_LABEL] ?? "" };
  }

  /**
   * Looks at what runs, plans what is missing or too much, and does it.
   *
   * @throws {AggregateError} of all that failed, after everything else is done
   */
  #reconcile(): Promise<void> {
    return this.#reconciling.add(async () => {
      const observed = await this.#engine.containersWithLabel(FLEET_LABEL, this.#settings.spec.name);
      const steps = planContainers(this.#desired, observed);
      if (steps.length > 0)
        this.#log.info({ plan: formatPlan(steps) }, "fleet differs from what it should be");
      const removals = steps.filter((step) => step.do === "remove");
      const removed = new Set(removals.map(({ containerId }) => containerId));
      for (const { id, labels } of observed)
        if (!removed.has(id)) this.#containerIds.set(Number(labels[EXECUTOR_LABEL]), id);
      await settleAll(removals.map(({ containerId }) => this.#engine.remove(containerId)));
      await settleAll(steps.map((step) => this.#bringUp(step)));
    });
  }

  async #bringUp(step: Step): Promise<void> {
    if (step.do === "start") await this.#engine.start(step.containerId);
    if (step.do === "create") await this.#create(step.number);
  }

  async #create(number: number): Promise<void> {
    const desired = this.#desired.find((one) => one.number === number);
    if (!desired) return;
    if (this.#containerIds.delete(number)) this.#lose(number, "its container was removed");
    const id = await this.#engine.create(desired.options);
    this.#containerIds.set(number, id);
    await this.#engine.start(id);
  }

  #lose(number: number, reason: string): void {
    this.#onLost(executorNumberSchema.parse(number), reason);
  }

  #subscribe(): Promise<AsyncIterable<DeathEvent>> {
    return this.#engine.deaths(FLEET_LABEL, this.#settings.spec.name, this.#stop.signal);
  }

  /** Follows the engine's events and, whenever the connection to it is lost, subscribes and looks anew. */
  async #watch(deaths: AsyncIterable<DeathEvent>): Promise<void> {
    const { signal } = this.#stop;
    // Who called `start` has to learn of the executors before one of them can be lost.
    await nextTurn();
    try {
      await this.#follow(deaths);
      while (!signal.aborted) {
        const next = await this.#untilDone(() => this.#subscribe());
        await this.#untilDone(() => this.#reconcile());
        await this.#follow(next);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Replaces what is removed, until the events end. What replaces a container makes its late events meaningless. */
  async #follow(deaths: AsyncIterable<DeathEvent>): Promise<void> {
    const { signal } = this.#stop;
    try {
      for await (const { containerId, labels, reason, removed } of deaths) {
        const number = Number(labels[EXECUTOR_LABEL]);
        if (this.#containerIds.get(number) === containerId) this.#lose(number, reason);
        if (removed) await this.#untilDone(() => this.#reconcile());
        else void this.#bringBack();
      }
    } catch (error) {
      signal.throwIfAborted();
      this.#log.warn({ reason: errorText(error) }, "the engine's events broke off");
    }
  }

  /** The engine starts a container again that ended by itself, but not one that somebody stopped or killed. */
  async #bringBack(): Promise<void> {
    try {
      await delay(ENGINE_RESTART_MS, undefined, { signal: this.#stop.signal });
      await this.#untilDone(() => this.#reconcile());
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    }
  }

  /** Tries again, ever more slowly, until it succeeds. Rejects when the backend is disposed of. */
  #untilDone<T>(attempt: () => Promise<T>): Promise<T> {
    return pRetry(attempt, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: MIN_RETRY_DELAY_MS,
      maxTimeout: MAX_RETRY_DELAY_MS,
      signal: this.#stop.signal,
      onFailedAttempt: ({ error }) =>
        this.#log.warn({ reason: errorText(error) }, "the engine failed; it is asked again"),
    });
  }
}

/** Waits for everything, so that nothing goes on behind the back of who learns that something failed. */
async function settleAll(doings: readonly Promise<void>[]): Promise<void> {
  const failures = (await Promise.allSettled(doings)).flatMap((result): unknown[] =>
    result.status === "rejected" ? [result.reason] : [],
  );
  if (failures.length > 0) throw new AggregateError(failures);
}
