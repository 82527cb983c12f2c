import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { Engine, type ContainerOptions } from "#manager/fleet/docker/engine.ts";
import { FLEET_LABEL } from "#manager/fleet/docker/plan.ts";
import { removeFleet } from "#manager/fleet/docker/remove-fleet.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { startDockerFleet } from "#tests/support/fleets.ts";
import { until } from "#tests/support/until.ts";

const run = promisify(execFile);
const skipped = await reasonToSkipDocker();
const ONE = { types: [{ type: "python", count: 1 }] };
const RECOVERY_DEADLINE_MS = 60_000;

/** The real engine, with faults. */
class FaultyEngine extends Engine {
  /** How many of the next creations fail. */
  failures = 0;
  /** How many of the next containers are removed as soon as they run. */
  removals = 0;
  /** How many of the next removals fail, as they do for a container that is just ending. */
  refusals = 0;
  readonly creations: Promise<string>[] = [];

  override create(options: ContainerOptions, signal: AbortSignal): Promise<string> {
    const creation =
      this.failures-- > 0
        ? Promise.reject(new Error("the engine is out of order"))
        : super.create(options, signal);
    this.creations.push(creation);
    return creation;
  }

  override async remove(id: string, signal: AbortSignal): Promise<void> {
    if (this.refusals-- > 0) throw new Error("removal is in progress");
    await super.remove(id, signal);
  }

  override async start(id: string, signal: AbortSignal): Promise<void> {
    await super.start(id, signal);
    if (this.removals-- > 0) await this.remove(id, signal);
  }
}

async function containersOf(fleetId: string) {
  return await new Engine().containersWithLabels({ [FLEET_LABEL]: fleetId });
}

async function removeContainers(fleetId: string): Promise<void> {
  const engine = new Engine();
  for (const { id } of await containersOf(fleetId))
    await engine.remove(id, AbortSignal.timeout(RECOVERY_DEADLINE_MS));
}

async function execute({ url }: RunningManager, ref: string | number, code: string): Promise<Response> {
  const headers = { "content-type": "text/x-python" };
  return await fetch(`${url}/session/${ref}/execute`, { method: "POST", headers, body: code });
}

async function untilFreeAgain({ fleet }: RunningManager): Promise<void> {
  await until(
    "the executor is free again",
    () => fleet.executors.every(({ state }) => state.name === "free") || undefined,
    RECOVERY_DEADLINE_MS,
  );
}

describe.skipIf(skipped)(`a container that is removed${skipped ? `: skipped, ${skipped}` : ""}`, () => {
  test("comes back free and clean, and its session has ended", async () => {
    const name = `test-removed-${process.pid}`;
    await using manager = await startDockerFleet({ ...ONE, name });
    const signal = AbortSignal.timeout(RECOVERY_DEADLINE_MS);
    const { id } = await manager.sessions.allocate({}, { waitMs: 0, signal });
    await execute(manager, id, "left_behind = 1");
    await removeContainers(name);
    await untilFreeAgain(manager);
    expect((await execute(manager, id, "left_behind")).status).toBe(410);
    expect(await (await execute(manager, 0, "left_behind")).json()).toMatchObject({
      outputs: [{ name: "NameError" }],
    });
  });

  test.each(["kill", "stop"])("comes back also when it was ended by docker %s", async (how) => {
    const name = `test-${how}-${process.pid}`;
    await using manager = await startDockerFleet({ ...ONE, name });
    await execute(manager, 0, "left_behind = 1");
    const [before] = await containersOf(name);
    await run("docker", [how, before?.id ?? ""]);
    await until("it is missed", () => manager.fleet.get(0).state.name !== "allocated" || undefined);
    await untilFreeAgain(manager);
    expect(await containersOf(name)).toEqual([before]);
    expect(await (await execute(manager, 0, "left_behind")).json()).toMatchObject({
      outputs: [{ name: "NameError" }],
    });
  });

  test("comes back after an engine that fails for a while", async () => {
    const name = `test-retried-${process.pid}`;
    const engine = new FaultyEngine();
    await using manager = await startDockerFleet({ ...ONE, name }, undefined, engine);
    engine.failures = 3;
    await execute(manager, 0, "left_behind = 1");
    await removeContainers(name);
    await until("it is made anew", async () => (await containersOf(name)).length === 1 || undefined, 20_000);
    await untilFreeAgain(manager);
    expect(engine.creations).toHaveLength(5);
  });

  test("comes back also when that happens while the fleet starts", async () => {
    const engine = new FaultyEngine();
    engine.removals = 1;
    await using manager = await startDockerFleet(ONE, undefined, engine);
    expect(await (await execute(manager, 0, "6 * 7")).json()).toMatchObject({ outcome: "ok" });
  });
});

test.skipIf(skipped)("a container that gives no answer is restarted, free and clean", async () => {
  const name = `test-silent-${process.pid}`;
  const probe = { intervalMs: 100, timeoutMs: 200, restartAfterMs: 300 };
  await using manager = await startDockerFleet({ ...ONE, name }, undefined, undefined, { probe });
  const signal = AbortSignal.timeout(RECOVERY_DEADLINE_MS);
  const { id } = await manager.sessions.allocate({}, { waitMs: 0, signal });
  await execute(manager, id, "left_behind = 1");
  const [before] = await containersOf(name);
  await run("docker", ["pause", before?.id ?? ""]);
  await until("the manager restarts it", () => {
    const { state } = manager.fleet.get(0);
    return (state.name === "unhealthy" && state.reason.endsWith("the manager restarted it")) || undefined;
  });
  await untilFreeAgain(manager);
  expect((await execute(manager, id, "left_behind")).status).toBe(410);
  expect(await containersOf(name)).toEqual([before]);
});

describe.skipIf(skipped)(`the end of a fleet${skipped ? `: skipped, ${skipped}` : ""}`, () => {
  test("leaves no container behind, also when the engine refuses to remove one at first", async () => {
    const name = `test-refused-${process.pid}`;
    const engine = new FaultyEngine();
    await using manager = await startDockerFleet({ ...ONE, name }, undefined, engine);
    engine.refusals = 2;
    await manager[Symbol.asyncDispose]();
    expect(await containersOf(name)).toEqual([]);
  });

  test("names the containers that cannot be removed", async () => {
    const name = `test-stuck-${process.pid}`;
    const engine = new FaultyEngine();
    await using _manager = await startDockerFleet({ ...ONE, name });
    engine.refusals = Number.POSITIVE_INFINITY;
    await expect(removeFleet(engine, name, { budgetMs: 300 })).rejects.toThrow(
      `containers could not be removed (removal is in progress): "docker rm -f fleet-${name}-000" does it`,
    );
  });
});
