import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import type { ContainerConfig } from "#contract/container-config.ts";
import { allocationSchema, statusSchema, type Allocation, type Status } from "#contract/manager-api.ts";
import { managerEnvSchema, managerSettings, parseEnv } from "#manager/config.ts";
import { StaticBackend } from "#manager/fleet/static-backend.ts";
import { startManager, type ManagerSettings, type RunningManager } from "#manager/start-manager.ts";
import { startForeignExecutor, type ForeignExecutor } from "./foreign-executor.ts";
import { until } from "./until.ts";

/** A manager's settings as its defaults make them, on any free port, with probes fast enough for a test. */
export function testSettings(overrides: Partial<ManagerSettings> = {}): ManagerSettings {
  return {
    ...managerSettings(parseEnv(managerEnvSchema, { FLEET_PORT: "0" })),
    probe: { intervalMs: 50, startIntervalMs: 10, timeoutMs: 500, resetTimeoutMs: 5_000 },
    ...overrides,
  };
}

/** Starts a manager in this process over executors that run already. It reads their places from a file, as anybody's does. */
export async function startTestManager(
  config: ContainerConfig,
  overrides: Partial<ManagerSettings> = {},
): Promise<RunningManager> {
  await using cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "fleet-test-"));
  cleanup.defer(() => rm(folder, { recursive: true }));
  const file = join(folder, "container_config.json");
  await writeFile(file, JSON.stringify(config));
  const log = pino({ level: "silent" });
  const manager = cleanup.use(await startManager(testSettings(overrides), new StaticBackend(file), log));
  const running = cleanup.move();
  return { ...manager, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** A manager over executors of another maker, which the test may end and start again. */
export interface TestFleet extends AsyncDisposable {
  readonly manager: RunningManager;
  readonly url: string;
  /** The executor of a number. */
  executor(number: number): ForeignExecutor;
  status(): Promise<Status>;
  /** Waits until `/status` is as expected. */
  untilStatus(expected: string, accepts: (status: Status) => boolean): Promise<Status>;
  post(path: string, options?: PostOptions): Promise<Response>;
  allocate(query?: string, signal?: AbortSignal): Promise<Allocation>;
  /** Runs code and returns the text of the reply. */
  run(ref: number | string, code: string): Promise<string>;
}

export interface PostOptions {
  json?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** Starts one executor per type and a manager over them; resolves when all are free. */
export async function startTestFleet(
  types: readonly string[],
  overrides: Partial<ManagerSettings> = {},
): Promise<TestFleet> {
  await using cleanup = new AsyncDisposableStack();
  const executors = await Promise.all(types.map(async () => cleanup.use(await startForeignExecutor())));
  const entries = executors.map(({ url }, number) => [number, { url, type: types[number] ?? "" }] as const);
  const manager = cleanup.use(await startTestManager(Object.fromEntries(entries), overrides));
  const { url } = manager;

  const status = async () => statusSchema.parse(await (await fetch(`${url}/status`)).json());
  const untilStatus: TestFleet["untilStatus"] = (expected, accepts) =>
    until(`the status says ${expected}`, async () => {
      const now = await status();
      return accepts(now) ? now : undefined;
    });
  const post: TestFleet["post"] = (path, { json, headers, signal } = {}) =>
    fetch(url + path, {
      method: "POST",
      headers: { ...(json === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      ...(signal ? { signal } : {}),
    });
  const run: TestFleet["run"] = async (ref, code) =>
    (await post(`/session/${ref}/execute`, { json: { code } })).text();
  const allocate: TestFleet["allocate"] = async (query = "", signal) =>
    allocationSchema.parse(await (await post(`/allocate${query}`, signal ? { signal } : {})).json());
  const executor = (number: number) => {
    const found = executors[number];
    if (!found) throw new Error(`the test's fleet has no executor ${number}`);
    return found;
  };

  await untilStatus("all executors are free", (now) => now.available_containers === types.length);
  const running = cleanup.move();
  return {
    manager,
    url,
    executor,
    status,
    untilStatus,
    post,
    allocate,
    run,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
