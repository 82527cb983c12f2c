import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allocationSchema } from "#contract/manager-api.ts";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { buildExecutorImage, lookForImages } from "#manager/fleet/docker/executor-image.ts";
import { startManager, type RunningManager } from "#manager/start-manager.ts";
import { dockerBackend, PROJECT_DIR, startProcessFleet } from "#tests/support/fleets.ts";
import { testSettings } from "#tests/support/manager.ts";
import { OwnEngine, reasonToSkipOwnEngine } from "#tests/support/own-engine.ts";

const skipped = await reasonToSkipOwnEngine();
const DEADLINE = { timeout: 60_000, interval: 100 };
const types = [{ type: "python", count: 1 }];

/** The image of these sources, made by the engine that answers here where it is not there yet. */
async function executorImageName(): Promise<string> {
  const engine = new Engine();
  const signal = AbortSignal.timeout(600_000);
  const { names, missing } = await lookForImages(
    engine,
    { spec: { types }, projectDir: PROJECT_DIR },
    signal,
  );
  for (const { image } of missing)
    await buildExecutorImage(engine, PROJECT_DIR, image, { onProgress: () => {}, signal });
  return names.get("python") ?? "";
}

describe.skipIf(skipped)(`a manager whose engine goes away${skipped ? `: skipped, ${skipped}` : ""}`, () => {
  let own: OwnEngine;
  let dataDir: string;

  beforeAll(async () => {
    own = await OwnEngine.prepare("--live-restore");
    await own.start();
    await own.load(await executorImageName());
    dataDir = await mkdtemp(join(tmpdir(), "fleet-outage-"));
  });

  afterAll(async () => {
    await own[Symbol.asyncDispose]();
    await rm(dataDir, { recursive: true });
  });

  const start = async () =>
    await startManager(
      { ...testSettings(), idleTimeoutMs: 600_000, dataDir },
      dockerBackend(dataDir, { types }, own.engine()),
      pino({ level: "silent" }),
    );
  const get = async ({ url }: RunningManager, path: string) => await fetch(url + path);
  const untilReadyz = async (manager: RunningManager, status: number) =>
    await expect.poll(async () => (await get(manager, "/readyz")).status, DEADLINE).toBe(status);
  const run = async ({ url }: RunningManager, code: string) => {
    const headers = { "content-type": "text/x-python" };
    const reply = await fetch(`${url}/session/0/execute`, { method: "POST", headers, body: code });
    return await reply.json();
  };

  test("starts without it, says so, and is whole by itself when it is there; sessions outlive its absence", async () => {
    await own.stop();
    await using manager = await start();
    await using processes = await startProcessFleet({ types: ["python"] });
    const unready = await get(manager, "/readyz");
    expect(unready.status).toBe(503);
    expect(await unready.json()).toMatchObject({ engine_ok: false, fleet_ok: false, ready_executors: 0 });
    expect(await (await get(manager, "/connection")).json()).toMatchObject({
      status: "error",
      address: own.socketPath,
    });
    expect(await (await get(manager, "/status")).json()).toMatchObject({
      starting_containers: 1,
      executors: [{ reason: expect.stringContaining("the Docker engine does not answer") }],
    });

    await own.start();
    await untilReadyz(manager, 200);
    expect(await run(manager, "x = 42")).toMatchObject({ outcome: "ok" });
    expect(await run(processes, "x = 1")).toMatchObject({ outcome: "ok" });

    await own.stop();
    await untilReadyz(manager, 503);
    expect(await run(manager, "x += 1")).toMatchObject({ outcome: "ok" });
    expect((await get(processes, "/readyz")).status).toBe(200);
    expect(await run(processes, "x += 1")).toMatchObject({ outcome: "ok" });

    await own.start();
    await untilReadyz(manager, 200);
    expect(await run(manager, "x")).toMatchObject({ outputs: [{ data: { "text/plain": "43" } }] });
    expect(await run(processes, "x")).toMatchObject({ outputs: [{ data: { "text/plain": "2" } }] });
  });

  test("with its containers: their sessions have ended, and say so; the fleet is whole when it is back", async () => {
    await own.stop();
    await own.start([]);
    await using manager = await start();
    await untilReadyz(manager, 200);
    const { session_id } = allocationSchema.parse(
      await (await fetch(`${manager.url}/allocate`, { method: "POST" })).json(),
    );
    await own.stop();
    await untilReadyz(manager, 503);

    await own.start([]);
    await untilReadyz(manager, 200);
    const ended = await get(manager, `/session/${session_id}`);
    expect(ended.status).toBe(410);
    expect(await ended.text()).toContain("executor lost: its container ended");
    expect(await run(manager, "6 * 7")).toMatchObject({ outputs: [{ data: { "text/plain": "42" } }] });
  });
});
