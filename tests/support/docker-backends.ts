import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { executorNumberSchema, type ExecutorNumber } from "#contract/ids.ts";
import type { BackendEvents } from "#manager/fleet/backend.ts";
import { DockerBackend, type DockerBackendSettings } from "#manager/fleet/docker/docker-backend.ts";
import { Engine, type ObservedContainer } from "#manager/fleet/docker/engine.ts";
import { FLEET_LABEL } from "#manager/fleet/docker/plan.ts";
import { removeFleet } from "#manager/fleet/docker/remove-fleet.ts";

export const NOBODY_KEPT: ReadonlySet<ExecutorNumber> = new Set();
export const FIRST = executorNumberSchema.parse(0);

let fleets = 0;

/**
 * A fleet of containers of a shell that several backends can serve one after the other, as managers do. What is left of
 * it is removed in the end.
 */
export class ShellFleet implements AsyncDisposable {
  readonly name = `test-${process.pid}-${(fleets += 1)}`;
  readonly engine: Engine;
  readonly dataDir: string;
  /** What the backends told, a line each. */
  readonly told: string[] = [];
  readonly #root: string;
  readonly #image: string;
  readonly #script: string;
  readonly #backends: DockerBackend[] = [];

  private constructor(
    engine: Engine,
    { root, dataDir }: { root: string; dataDir: string },
    { image, script }: { image: string; script: string },
  ) {
    this.engine = engine;
    this.#root = root;
    this.dataDir = join(root, dataDir);
    this.#image = image;
    this.#script = script;
  }

  /** `dataDir` is a folder below one of its own, `script` what its containers run. */
  static async make(
    image: string,
    { engine = new Engine(), script = "exec sleep infinity", dataDir = "" } = {},
  ): Promise<ShellFleet> {
    const root = await mkdtemp(join(tmpdir(), "fleet-data-"));
    return new ShellFleet(engine, { root, dataDir }, { image, script });
  }

  /** Told by a backend: `placed 0`, `waiting 0: REASON`, `lost 0: REASON`. */
  get events(): BackendEvents {
    return {
      placed: (number) => this.told.push(`placed ${number}`),
      waiting: (number, reason) => this.told.push(`waiting ${number}: ${reason}`),
      replaced: (number, reason) => this.told.push(`replaced ${number}: ${reason}`),
      lost: (number, { reason, outOfMemory }) =>
        this.told.push(`lost ${number}: ${reason}${outOfMemory ? " (out of memory)" : ""}`),
    };
  }

  get losses(): string[] {
    return this.told.filter((line) => line.startsWith("lost"));
  }

  /** A backend that has not been started. */
  backend(
    count = 1,
    spec: Partial<DockerBackendSettings["spec"]> = {},
    settings: Partial<DockerBackendSettings> = {},
  ): DockerBackend {
    const backend = new DockerBackend(
      {
        spec: {
          name: this.name,
          types: [{ type: "shell", count, image: this.#image }],
          limits: { cpus: 1, pids: 64, memoryBytes: 32 * 1024 * 1024 },
          environment: { SCRIPT: this.#script },
          executionTimeout: 30,
          maxExecutionTimeout: 3600,
          resets: {},
          ...spec,
        },
        projectDir: "",
        dataDir: this.dataDir,
        secret: "only for tests",
        onProgress: () => {},
        ...settings,
      },
      this.engine,
      pino({ level: "silent" }),
    );
    this.#backends.push(backend);
    return backend;
  }

  /** One whose executors all have their place. */
  async start(count = 1, spec: Partial<DockerBackendSettings["spec"]> = {}): Promise<DockerBackend> {
    const backend = this.backend(count, spec);
    await backend.start(this.events, AbortSignal.timeout(60_000));
    return backend;
  }

  /** Its containers in the order of their names. */
  async containers(): Promise<ObservedContainer[]> {
    const found = await this.engine.containersWithLabels({ [FLEET_LABEL]: this.name });
    return found.toSorted((a, b) => a.name.localeCompare(b.name));
  }

  async ids(): Promise<string[]> {
    return (await this.containers()).map(({ id }) => id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const backend of this.#backends) await backend.stop(NOBODY_KEPT).catch(() => undefined);
    await removeFleet(this.engine, this.name);
    await rm(this.#root, { recursive: true, force: true });
  }
}
