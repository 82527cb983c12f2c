import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Backend } from "#manager/fleet/backend.ts";
import { DockerBackend, type DockerBackendSettings } from "#manager/fleet/docker/docker-backend.ts";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { ProcessBackend } from "#manager/fleet/process/process-backend.ts";
import type { ProcessBackendSettings } from "#manager/fleet/process/wanted-executor.ts";
import { startManager, type ManagerSettings, type RunningManager } from "#manager/start-manager.ts";
import { testSettings } from "./manager.ts";
import { processSettings } from "./process-settings.ts";
import { until } from "./until.ts";

export const PROJECT_DIR = join(import.meta.dirname, "../..");
export const UTILITIES_DIR = join(PROJECT_DIR, "test-code/utilities");

const START_DEADLINE_MS = 60_000;

const log = pino({ level: "silent" });

/** Executors as processes, from source. They load `test-code/utilities`. */
export async function startProcessFleet(
  settings: Partial<ProcessBackendSettings> = {},
  manager?: Partial<ManagerSettings>,
): Promise<RunningManager> {
  const logDir = await mkdtemp(join(tmpdir(), "fleet-logs-"));
  return await start(processBackend(logDir, settings), logDir, manager);
}

/** The backend of {@link startProcessFleet}. */
export function processBackend(
  logDir: string,
  settings: Partial<ProcessBackendSettings> = {},
): ProcessBackend {
  return new ProcessBackend(processSettings(logDir, settings), log);
}

/** Executors as containers of the engine that answers here. They load `test-code/utilities`. */
export async function startDockerFleet(
  spec: Partial<DockerBackendSettings["spec"]> = {},
  directory?: string,
  engine?: Engine,
  manager?: Partial<ManagerSettings>,
): Promise<RunningManager> {
  const dataDir = directory ?? (await mkdtemp(join(tmpdir(), "fleet-data-")));
  return await start(dockerBackend(dataDir, spec, engine), dataDir, manager);
}

/** The backend of {@link startDockerFleet}. */
export function dockerBackend(
  dataDir: string,
  spec: Partial<DockerBackendSettings["spec"]> = {},
  engine: Engine = new Engine(),
): DockerBackend {
  const settings: DockerBackendSettings = {
    spec: {
      name: `test-${process.pid}-${Date.now().toString(36)}`,
      types: [{ type: "python", count: 2 }],
      limits: { cpus: 1, pids: 256 },
      environment: {},
      executionTimeout: 30,
      maxExecutionTimeout: 3600,
      resets: {},
      codeDirectory: UTILITIES_DIR,
      ...spec,
    },
    projectDir: PROJECT_DIR,
    dataDir,
    secret: "only for tests",
    onProgress: () => {},
  };
  return new DockerBackend(settings, engine, log);
}

/** Serves the backend on a free port; resolves when every executor is free. Disposing removes `directory` too. */
async function start(
  backend: Backend,
  directory: string,
  { probe = {}, ...settings }: Partial<ManagerSettings> = {},
): Promise<RunningManager> {
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  const manager = cleanup.use(
    await startManager({ ...testSettings({ probe }), idleTimeoutMs: 600_000, ...settings }, backend, log),
  );
  const { fleet, started } = manager;
  // It may have to build an image first.
  await started;
  await until(
    "every executor is free",
    () => fleet.executors.every(({ state }) => state.name === "free") || undefined,
    START_DEADLINE_MS,
  );
  const running = cleanup.move();
  return { ...manager, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
