import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { Backend } from "#manager/fleet/backend.ts";
import { DockerBackend, type DockerBackendSettings } from "#manager/fleet/docker/docker-backend.ts";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { ProcessBackend, type ProcessBackendSettings } from "#manager/fleet/process-backend.ts";
import type { ProbeSettings } from "#manager/fleet/prober.ts";
import { startManager, type RunningManager } from "#manager/start-manager.ts";
import { until } from "./until.ts";

export const PROJECT_DIR = join(import.meta.dirname, "../..");
export const UTILITIES_DIR = join(PROJECT_DIR, "test-code/utilities");

const START_DEADLINE_MS = 60_000;

const log = pino({ level: "silent" });

/** Executors as processes, from source. They load `test-code/utilities`. */
export async function startProcessFleet(
  settings: Partial<ProcessBackendSettings> = {},
  probe?: Partial<ProbeSettings>,
): Promise<RunningManager> {
  const logDir = await mkdtemp(join(tmpdir(), "fleet-logs-"));
  return await start(processBackend(logDir, settings), logDir, probe);
}

/** The backend of {@link startProcessFleet}. */
export function processBackend(
  logDir: string,
  settings: Partial<ProcessBackendSettings> = {},
): ProcessBackend {
  const { PATH = "", HOME = "", FLEET_PYTHON = "python3" } = process.env;
  return new ProcessBackend(
    {
      types: ["python", "python"],
      command: [process.execPath, join(PROJECT_DIR, "executor/main.ts")],
      env: {
        PATH,
        HOME,
        KERNEL_PYTHON: FLEET_PYTHON,
        WORKSPACE_FOLDER: UTILITIES_DIR,
        EXECUTION_TIMEOUT: "30",
      },
      envOfType: {},
      logDir,
      ...settings,
    },
    log,
  );
}

/** Executors as containers of the engine that answers here. They load `test-code/utilities`. */
export async function startDockerFleet(
  spec: Partial<DockerBackendSettings["spec"]> = {},
  directory?: string,
  engine: Engine = new Engine(),
  probe?: Partial<ProbeSettings>,
): Promise<RunningManager> {
  const dataDir = directory ?? (await mkdtemp(join(tmpdir(), "fleet-data-")));
  const settings: DockerBackendSettings = {
    spec: {
      name: `test-${process.pid}-${Date.now().toString(36)}`,
      types: [{ type: "python", count: 2 }],
      limits: { cpus: 1, pids: 256 },
      environment: {},
      executionTimeout: 30,
      maxExecutionTimeout: 3600,
      codeDirectory: UTILITIES_DIR,
      ...spec,
    },
    projectDir: PROJECT_DIR,
    dataDir,
    secret: "only for tests",
    onProgress: () => {},
  };
  return await start(new DockerBackend(settings, engine, log), dataDir, probe);
}

/** Serves the backend on a free port; resolves when every executor is free. Disposing removes `directory` too. */
async function start(
  backend: Backend,
  directory: string,
  probe: Partial<ProbeSettings> = {},
): Promise<RunningManager> {
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  const manager = cleanup.use(
    await startManager(
      {
        host: "127.0.0.1",
        port: 0,
        apiKeys: [],
        allowedHosts: [],
        allocation: "open",
        idleTimeoutMs: 600_000,
        maxQueued: 32,
        maxWaiting: 32,
        startWaitMs: 60_000,
        maxConnections: 1024,
        maxBodyBytes: 32 * 1024 * 1024,
        probe,
      },
      backend,
      log,
    ),
  );
  const { fleet } = manager;
  await until(
    "every executor is free",
    () => fleet.executors.every(({ state }) => state.name === "free") || undefined,
    START_DEADLINE_MS,
  );
  const running = cleanup.move();
  return { ...manager, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
