import pRetry from "p-retry";
import type { Logger } from "pino";
import { plannedExecutors, resetOf } from "#compose/fleet-spec.ts";
import { errorText } from "#contract/errors.ts";
import { executorNumberSchema, type ExecutorNumber } from "#contract/ids.ts";
import type { ConnectionStatus } from "#contract/manager-api.ts";
import type { Backend, BackendEvents, ExecutorPlan, Loss } from "#manager/fleet/backend.ts";
import { orAborted } from "#manager/fleet/or-aborted.ts";
import { CannotStart } from "./cannot-start.ts";
import { desiredContainers, type ContainerSettings, type Desired } from "./desired-containers.ts";
import { Endpoints } from "./endpoints.ts";
import { EngineConnection } from "./engine-connection.ts";
import type { Engine, EngineInfo, ObservedContainer } from "./engine.ts";
import { buildExecutorImage, lookForImages, requireBuiltIn } from "./executor-image.ts";
import { explainLoss } from "./explain-loss.ts";
import { FleetContainers } from "./fleet-containers.ts";
import { followEngine } from "./follow-engine.ts";
import { FLEET_LABEL, formatStep, planContainers } from "./plan.ts";
import { removeFleet } from "./remove-fleet.ts";

export interface DockerBackendSettings extends ContainerSettings {
  /** The project's folder, which images are built from. */
  projectDir: string;
  /** Folder for what has to outlive the manager. */
  dataDir: string;
  onProgress: (line: string) => void;
}

const MIN_RETRY_DELAY_MS = 200;
const MAX_RETRY_DELAY_MS = 2_000;
/** How long an engine may take to answer when the fleet ends. */
const STOP_PROBE_MS = 5_000;

/** Executors as containers of a Docker engine. It waits for an engine that does not answer, and follows it. */
export class DockerBackend implements Backend {
  readonly name = "docker";
  readonly warnings: string[] = [];
  readonly connection: EngineConnection;
  readonly #settings: DockerBackendSettings;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #unplaced: Set<ExecutorNumber>;
  readonly #started = Promise.withResolvers<void>();
  #events: BackendEvents | undefined;
  #containers: FleetContainers | undefined;
  #watching: Promise<void> = Promise.resolve();

  constructor(settings: DockerBackendSettings, engine: Engine, log: Logger) {
    this.#settings = settings;
    this.#log = log;
    this.connection = new EngineConnection(engine, log);
    this.#unplaced = new Set(
      plannedExecutors(settings.spec).map(({ number }) => executorNumberSchema.parse(number)),
    );
    // Whoever waits for it learns of a failure; without a start nobody does.
    this.#started.promise.catch(() => undefined);
  }

  async plan(): Promise<ExecutorPlan[]> {
    const { spec } = this.#settings;
    for (const { type, image } of spec.types) if (image === undefined) requireBuiltIn(type);
    return plannedExecutors(spec).map(({ number, type }) => ({
      number: executorNumberSchema.parse(number),
      type,
      reset: resetOf(spec, type) ?? "container",
    }));
  }

  async preview(signal: AbortSignal): Promise<string[]> {
    const info = await this.connection.connect({ signal });
    const images = await lookForImages(this.connection.engine, this.#settings, signal);
    const observed = await this.#observe(signal);
    const desired = await desiredContainers(this.#settings, this.#endpoints(info), images.names, observed);
    const builds = images.missing.map(
      ({ image }) => `build image ${image.name}: no image of these sources is there`,
    );
    return [...builds, ...planContainers(desired, observed).map(formatStep)];
  }

  async start(events: BackendEvents, signal: AbortSignal): Promise<void> {
    this.#events = events;
    const waiting = AbortSignal.any([signal, this.#stop.signal]);
    const stopListening = this.connection.onChange((status) => this.#tellConnection(status));
    try {
      this.#containers = await this.#prepare(waiting);
      this.#watching = followEngine(this.#containers, {
        fleetId: this.#settings.spec.name,
        connection: this.connection,
        onFailure: (error) => this.#tellWaiting(errorText(error)),
        log: this.#log,
        stop: this.#stop.signal,
      });
      await orAborted(this.#started.promise, waiting);
    } finally {
      stopListening();
    }
  }

  async restart(number: ExecutorNumber, signal: AbortSignal): Promise<void> {
    await this.#whenConnected(signal, (bounded) => this.#requireContainers().restart(number, bounded));
  }

  async replace(number: ExecutorNumber, signal: AbortSignal): Promise<void> {
    await this.#whenConnected(signal, (bounded) => this.#requireContainers().replace(number, bounded));
  }

  async explainLoss(number: ExecutorNumber, signal: AbortSignal): Promise<Loss | undefined> {
    if (!this.#containers) return undefined;
    return await explainLoss(this.#containers, this.connection.engine, number, signal);
  }

  /**
   * Removes every container of this fleet but those of the executors that are kept.
   *
   * @throws {Error} that names what is left
   */
  async stop(kept: ReadonlySet<ExecutorNumber>): Promise<void> {
    this.#stop.abort(new Error("the manager stops"));
    try {
      await this.#watching;
      // What was never started is not this manager's to end.
      if (this.#events) await this.#removeAll(kept);
    } finally {
      await this.connection.close();
    }
  }

  async #removeAll(kept: ReadonlySet<number>): Promise<void> {
    const { engine } = this.connection;
    const { name } = this.#settings.spec;
    if (!(await this.connection.probe(AbortSignal.timeout(STOP_PROBE_MS)))) {
      const known = this.#containers?.lives.numbers ?? [];
      if (known.every((number) => kept.has(number))) return;
      throw new Error(`containers of ${name} may be left: the Docker engine does not answer`);
    }
    if (this.#containers) await this.#containers.removeAll(kept);
    else await removeFleet(engine, name, { kept });
  }

  /** Decides what there should be, on an engine that answers, and builds the images that are missing. */
  async #prepare(signal: AbortSignal): Promise<FleetContainers> {
    const attempt = async () => {
      const info = await this.connection.waitReady(signal);
      this.#tellWaiting("its container is being brought up");
      return await this.#prepareOn(info, this.#whileConnected(signal));
    };
    return await pRetry(attempt, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: MIN_RETRY_DELAY_MS,
      maxTimeout: MAX_RETRY_DELAY_MS,
      signal,
      // What fails on an engine that answers fails again.
      shouldRetry: async () => !(await this.connection.probe(signal)),
    });
  }

  async #prepareOn(info: EngineInfo, signal: AbortSignal): Promise<FleetContainers> {
    const { spec, projectDir, onProgress } = this.#settings;
    const endpoints = this.#endpoints(info);
    const { names, missing } = await lookForImages(this.connection.engine, this.#settings, signal);
    for (const { type } of missing) this.#tellWaiting("its image is being built", type);
    // One after the other: each build has all cores.
    for (const { image } of missing)
      await buildExecutorImage(this.connection.engine, projectDir, image, { onProgress, signal });
    const observed = await this.#observe(signal);
    const desired = await desiredContainers(this.#settings, endpoints, names, observed);
    this.warnings.splice(0, Number.POSITIVE_INFINITY, ...endpoints.warnings);
    return new FleetContainers({
      fleetId: spec.name,
      desired,
      endpoints,
      connection: this.connection,
      listener: {
        up: (one) => this.#place(one),
        lost: (number, loss) => this.#events?.lost(number, loss),
        replaced: (number, reason) => this.#events?.replaced(number, reason),
        failed: (number, error) => this.#fail(number, error),
      },
      log: this.#log,
      stop: this.#stop.signal,
    });
  }

  #endpoints(info: EngineInfo): Endpoints {
    const { spec, dataDir } = this.#settings;
    return new Endpoints(this.connection.engine, info, { fleetId: spec.name, dataDir });
  }

  async #observe(signal: AbortSignal): Promise<ObservedContainer[]> {
    return await this.connection.engine.containersWithLabels(
      { [FLEET_LABEL]: this.#settings.spec.name },
      signal,
    );
  }

  /** Also aborted when the connection is lost, on which no reply comes any more. */
  #whileConnected(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#stop.signal, this.connection.lostSignal]);
  }

  async #whenConnected(signal: AbortSignal, task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    await this.connection.waitReady(AbortSignal.any([signal, this.#stop.signal]));
    const bounded = this.#whileConnected(signal);
    await orAborted(task(bounded), bounded);
  }

  #place({ number, place }: Desired): void {
    if (!this.#unplaced.delete(number)) return;
    this.#events?.placed(number, place);
    if (this.#unplaced.size === 0) this.#started.resolve();
  }

  #fail(number: ExecutorNumber, error: unknown): void {
    if (!this.#unplaced.has(number)) return;
    if (error instanceof CannotStart) this.#started.reject(error);
    else this.#events?.waiting(number, errorText(error));
  }

  #tellConnection(status: ConnectionStatus): void {
    if (status.status === "error") this.#tellWaiting(`the Docker engine does not answer: ${status.error}`);
  }

  /** Tells the executors that have no place yet, or those of one type, what they wait for. */
  #tellWaiting(reason: string, type?: string): void {
    if (this.#stop.signal.aborted) return;
    for (const planned of plannedExecutors(this.#settings.spec)) {
      const number = executorNumberSchema.parse(planned.number);
      if (this.#unplaced.has(number) && (type === undefined || type === planned.type))
        this.#events?.waiting(number, reason);
    }
  }

  #requireContainers(): FleetContainers {
    if (this.#containers) return this.#containers;
    throw new Error("the executors have not been started yet");
  }
}
