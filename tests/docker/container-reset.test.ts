import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FLEET_LABEL } from "#manager/fleet/docker/plan.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { startDockerFleet } from "#tests/support/fleets.ts";
import { Tenant } from "#tests/support/tenant.ts";

const skipped = await reasonToSkipDocker();
const run = promisify(execFile);
const DEADLINE = { timeout: 60_000 };

describe.skipIf(skipped)(
  `a reset of the kind container${skipped === undefined ? "" : `: skipped, ${skipped}`}`,
  () => {
    const name = `test-${process.pid}-reset`;
    let manager: RunningManager;

    beforeAll(async () => {
      manager = await startDockerFleet({ name, types: [{ type: "python", count: 1 }] });
    });

    afterAll(() => manager[Symbol.asyncDispose]());

    /** Its only container, and when that was started last. */
    const container = async () => {
      const filter = `label=${FLEET_LABEL}=${name}`;
      const ids = (await run("docker", ["ps", "-aq", "--no-trunc", "--filter", filter])).stdout.trim();
      const format = "{{.State.StartedAt}}";
      const { stdout } = await run("docker", ["inspect", "--format", format, ids]);
      return { id: ids, startedAt: stdout.trim() };
    };

    test("starts the same container again; it is free when another process in it answered as ready", async () => {
      const { fleet, url } = manager;
      const executor = fleet.get(0);
      const bootId = executor.bootId;
      const before = await container();
      const states: string[] = [];
      let readyWhenFree: Promise<boolean> | undefined;
      let bootIdWhenFree: string | undefined;
      const tenant = await Tenant.open(url, "a");
      await tenant.run("left = 1");
      using _ = fleet.onChange(({ state, client }) => {
        states.push(state.name);
        if (state.name !== "free") return;
        bootIdWhenFree = executor.bootId;
        readyWhenFree = client.ready(AbortSignal.timeout(5_000)).then(({ ready }) => ready);
      });
      expect(await tenant.leave()).toEqual({ status: "deallocated", container_id: 0 });
      expect(states).toEqual(["resetting", "free"]);
      expect(bootIdWhenFree).toEqual(expect.any(String));
      expect(bootIdWhenFree).not.toBe(bootId);
      expect(await readyWhenFree).toBe(true);
      const after = await container();
      expect(after.id).toBe(before.id);
      expect(after.startedAt > before.startedAt).toBe(true);
    });

    test("puts a new container in the place of one that is removed meanwhile", async () => {
      const { fleet, url } = manager;
      const before = await container();
      const tenant = await Tenant.open(url, "a");
      await tenant.run("left = 1");
      let removed: Promise<unknown> | undefined;
      const watching = fleet.onChange(({ state }) => {
        if (state.name === "resetting") removed ??= run("docker", ["rm", "--force", before.id]);
      });
      await tenant.leave();
      watching[Symbol.dispose]();
      await removed;
      const isNew = async () => (await container().catch(() => before)).id !== before.id;
      await expect
        .poll(async () => [await isNew(), fleet.get(0).state.name], DEADLINE)
        .toEqual([true, "free"]);
      const next = await Tenant.open(url, "b");
      expect(await next.printed(`print("left" in globals())`)).toBe("False\n");
      await next.leave();
    });
  },
);
