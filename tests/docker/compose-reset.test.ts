import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { healthSchema } from "#contract/executor-api.ts";
import { ComposeFleet } from "#tests/support/compose-fleet.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { leaveAndLook, testLeaks, type Sightings } from "#tests/support/leak-test.ts";
import { remains } from "#tests/support/remains.ts";
import { Tenant } from "#tests/support/tenant.ts";

const skipped = await reasonToSkipDocker();
const because = skipped === undefined ? "" : `: skipped, ${skipped}`;
const DEADLINE = { timeout: 60_000 };
const kinds = remains({ scratch: "/tmp", ports: [4711, 4712] });

describe.skipIf(skipped)(`tenants of a generated Compose file${because}`, () => {
  let fleet: ComposeFleet;

  beforeAll(async () => {
    fleet = await ComposeFleet.up(["-t", "python:1", "--cpus", "1"]);
  });

  afterAll(() => fleet.down());

  const bootId = async () => {
    const reply = await fetch(`${fleet.url}/session/0/health`);
    return healthSchema.parse(await reply.json()).boot_id;
  };
  const executor = async () => (await fleet.status()).executors[0];

  describe("nothing of a tenant is visible to the next one", () => {
    let sightings: Sightings;

    beforeAll(async () => {
      sightings = await leaveAndLook(fleet.url, kinds);
    });

    testLeaks(
      kinds.map(({ kind }) => kind),
      () => sightings,
    );
  });

  test("an executor is reset by ending its process: its container is the same, started again", async () => {
    const before = { ...(await fleet.container("executor-000")), bootId: await bootId() };
    const tenant = await Tenant.open(fleet.url, "a");
    expect(await tenant.leave()).toEqual({ status: "deallocated", container_id: 0 });
    expect(await executor()).toMatchObject({ state: "free", reset: "container" });
    const after = { ...(await fleet.container("executor-000")), bootId: await bootId() };
    expect(after.id).toBe(before.id);
    expect(after.startedAt > before.startedAt).toBe(true);
    expect(after.bootId).toEqual(expect.any(String));
    expect(after.bootId).not.toBe(before.bootId);
  });

  test("one whose container does not start again is unhealthy, says why, and is free and clean when it is back", async () => {
    const tenant = await Tenant.open(fleet.url, "a");
    await tenant.run(`open("/tmp/left", "w").close()`);
    await fleet.compose("kill", "executor-000");
    await tenant.leave();
    await expect.poll(executor, DEADLINE).toMatchObject({
      state: "unhealthy",
      reason: expect.stringMatching(/the reset failed|no answer to GET/),
    });
    await fleet.compose("start", "executor-000");
    await expect.poll(executor, DEADLINE).toMatchObject({ state: "free" });
    const next = await Tenant.open(fleet.url, "b");
    expect(await next.printed(`import os\nprint(os.path.exists("/tmp/left"))`)).toBe("False\n");
    await next.leave();
  });

  test.each([
    ["a session", "killed", "kill", {}],
    ["a detached session", "stopped", "stop", { detached: true }],
  ])("%s is there again, with its variables, after the manager was %s", async (_, __, end, spec) => {
    const tenant = await Tenant.open(fleet.url, "kept", spec);
    await tenant.run("kept = 42");
    const { session_id } = await tenant.session();
    await fleet.compose(end, "manager");
    await fleet.compose("start", "manager");
    await expect
      .poll(async () => (await tenant.session().catch(() => undefined))?.state, DEADLINE)
      .toBe("open");
    expect((await tenant.session()).session_id).toBe(session_id);
    expect(await tenant.printed("print(kept)")).toBe("42\n");
    await tenant.leave();
    const gone = await fetch(`${fleet.url}/session/${session_id}`);
    expect(gone.status).toBe(410);
  });
});
