import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConnectionStatus } from "#contract/manager-api.ts";
import { FIRST, NOBODY_KEPT, ShellFleet } from "#tests/support/docker-backends.ts";
import { OwnEngine, reasonToSkipOwnEngine } from "#tests/support/own-engine.ts";
import { makeShellImage } from "#tests/support/shell-image.ts";

const run = promisify(execFile);
const skipped = await reasonToSkipOwnEngine();
const signal = () => AbortSignal.timeout(60_000);
const DEADLINE = { timeout: 30_000 };

/** Tests in order: each finds the engine running. */
describe.skipIf(skipped)(`an engine that comes and goes${skipped ? `: skipped, ${skipped}` : ""}`, () => {
  let own: OwnEngine;
  let image: string;

  beforeAll(async () => {
    // Containers outlive the engine, as they do where its operator wants that.
    own = await OwnEngine.prepare("--live-restore");
    await own.start();
    image = await makeShellImage(own.host);
  });

  afterAll(async () => {
    await own[Symbol.asyncDispose]();
  });

  const makeFleet = () => ShellFleet.make(image, { engine: own.engine() });

  test("one that is not there is waited for, with the reason; the fleet goes on by itself when it comes", async () => {
    await own.stop();
    await using fleet = await makeFleet();
    const backend = fleet.backend();
    expect(backend.connection.status).toMatchObject({ status: "not_connected" });
    await expect(backend.preview(signal())).rejects.toThrow("the Docker engine does not answer");
    const starting = backend.start(fleet.events, signal());
    await expect
      .poll(() => fleet.told, DEADLINE)
      .toContainEqual(expect.stringMatching(/^waiting 0: the Docker engine does not answer: connect E/));
    expect(await backend.connection.heal(signal())).toEqual({
      status: "error",
      error: expect.stringContaining(own.socketPath),
      address: own.socketPath,
    });
    await own.start();
    await starting;
    expect(fleet.told.at(-1)).toBe("placed 0");
    expect(backend.connection.status).toEqual({
      status: "connected",
      address: own.socketPath,
      engine_version: expect.stringMatching(/^\d+\./),
      resources: { cpus: expect.any(Number), memory: expect.any(Number) },
    });
  });

  test("one that goes and comes back disturbs no executor that runs on; what ended meanwhile is told and brought back", async () => {
    await using fleet = await makeFleet();
    const backend = await fleet.start(2);
    const ids = await fleet.ids();
    const pids = await Promise.all(ids.map((id) => pidOf(id)));
    const seen: ConnectionStatus["status"][] = [];
    backend.connection.onChange(({ status }) => seen.push(status));
    await own.stop();
    await expect.poll(() => backend.connection.status.status, DEADLINE).toBe("error");
    process.kill(pids[1] ?? Number.NaN, "SIGKILL");
    await own.start();
    await expect.poll(() => backend.connection.status.status, DEADLINE).toBe("connected");
    await expect
      .poll(() => fleet.losses, DEADLINE)
      .toEqual([expect.stringMatching(/^lost 1: its container ended/)]);
    await expect
      .poll(async () => (await fleet.containers()).map(({ running }) => running), DEADLINE)
      .toEqual([true, true]);
    expect(await fleet.ids()).toEqual(ids);
    expect(await pidOf(ids[0] ?? "")).toBe(pids[0]);
    expect(seen.filter((status) => status === "connected")).toEqual(["connected"]);
    // The subscription is a fresh one.
    await run("docker", ["--host", own.host, "kill", ids[0] ?? ""]);
    await expect
      .poll(() => fleet.losses, DEADLINE)
      .toContain("lost 0: its container ended with exit code 137");
  });

  test("one that falls silent is noticed, too, and what waits for it is given up", async () => {
    await using fleet = await makeFleet();
    const backend = await fleet.start();
    own.freeze();
    try {
      const restart = backend.restart(FIRST, signal());
      await expect(restart).rejects.toThrow("the Docker engine went away");
      expect(backend.connection.status).toMatchObject({
        status: "error",
        error: expect.stringContaining("timeout"),
      });
    } finally {
      own.thaw();
    }
    await expect.poll(() => backend.connection.status.status, DEADLINE).toBe("connected");
    await expect.poll(async () => (await fleet.containers())[0]?.running, DEADLINE).toBe(true);
    await backend.restart(FIRST, signal());
  });

  test("executors that end with it are told so once, and come back with it", async () => {
    await using mortal = await OwnEngine.prepare();
    await mortal.start();
    await using fleet = await ShellFleet.make(await makeShellImage(mortal.host), { engine: mortal.engine() });
    const backend = await fleet.start();
    await mortal.stop();
    await mortal.start();
    await expect
      .poll(() => fleet.losses, DEADLINE)
      .toEqual([expect.stringMatching(/^lost 0: its container ended/)]);
    await expect.poll(async () => (await fleet.containers())[0]?.running, DEADLINE).toBe(true);
    await backend.restart(FIRST, signal());
    expect(fleet.losses).toHaveLength(1);
    await backend.stop(NOBODY_KEPT);
  });

  test("a fleet that ends without its engine says that containers may be left", async () => {
    await using fleet = await makeFleet();
    const backend = await fleet.start();
    await own.stop();
    try {
      await expect(backend.stop(NOBODY_KEPT)).rejects.toThrow(`containers of ${fleet.name} may be left`);
      expect(backend.connection.status).toMatchObject({ status: "not_connected", reason: "it is closed" });
    } finally {
      await own.start();
    }
  });

  async function pidOf(id: string): Promise<number> {
    const { stdout } = await run("docker", ["--host", own.host, "inspect", "-f", "{{.State.Pid}}", id]);
    // 0 is what the engine says of one that does not run.
    expect(Number(stdout)).toBeGreaterThan(1);
    return Number(stdout);
  }
});
