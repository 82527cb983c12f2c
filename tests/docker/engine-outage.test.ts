import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { buildExecutorImage, lookForImages } from "#manager/fleet/docker/executor-image.ts";
import { startManager } from "#manager/start-manager.ts";
import { dockerBackend, PROJECT_DIR } from "#tests/support/fleets.ts";
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

  test("starts without it, says so, and is whole by itself when it is there; sessions outlive its absence", async () => {
    await own.stop();
    const backend = dockerBackend(dataDir, { types }, own.engine());
    await using manager = await startManager(
      { ...testSettings(), idleTimeoutMs: 600_000, dataDir },
      backend,
      pino({ level: "silent" }),
    );
    const get = async (path: string) => await fetch(manager.url + path);
    const run = async (code: string) => {
      const headers = { "content-type": "text/x-python" };
      const reply = await fetch(`${manager.url}/session/0/execute`, { method: "POST", headers, body: code });
      return await reply.json();
    };

    const unready = await get("/readyz");
    expect(unready.status).toBe(503);
    expect(await unready.json()).toMatchObject({ engine_ok: false, fleet_ok: false, ready_executors: 0 });
    expect(await (await get("/connection")).json()).toMatchObject({
      status: "error",
      address: own.socketPath,
    });
    expect(await (await get("/status")).json()).toMatchObject({
      starting_containers: 1,
      executors: [{ reason: expect.stringContaining("the Docker engine does not answer") }],
    });

    await own.start();
    await expect.poll(async () => (await get("/readyz")).status, DEADLINE).toBe(200);
    expect(await run("x = 42")).toMatchObject({ outcome: "ok" });

    await own.stop();
    await expect.poll(async () => (await get("/readyz")).status, DEADLINE).toBe(503);
    expect(await run("x += 1")).toMatchObject({ outcome: "ok" });

    await own.start();
    await expect.poll(async () => (await get("/readyz")).status, DEADLINE).toBe(200);
    expect(await run("x")).toMatchObject({ outputs: [{ data: { "text/plain": "43" } }] });
  });
});
