import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { FLEET_LABEL } from "#manager/fleet/docker/plan.ts";
import { DataDir } from "#cli/data-dir.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { FleetCommands, runs } from "#tests/support/fleet-command.ts";

const skipped = await reasonToSkipDocker();

describe.skipIf(skipped)(`fleet up on Docker${skipped ? `: skipped, ${skipped}` : ""}`, () => {
  let fleet: FleetCommands;

  beforeAll(async () => {
    fleet = await FleetCommands.make();
  });

  afterAll(() => fleet[Symbol.asyncDispose]());

  test("auto takes the engine; code runs, logs are shown, and fleet down leaves no container and no process", async () => {
    const up = await fleet.run(["up", "--port", "0", "-n", "1", "-d", "--execution-timeout", "7200"]);
    expect(up).toMatchObject({ exitCode: 0, stdout: expect.stringContaining("backend: docker (engine ") });
    const pid = Number(/\(pid (\d+)\)/.exec(up.stdout)?.[1]);
    expect(await runs(pid)).toBe(true);

    expect((await fleet.run(["exec", "print('in a container')"])).stdout).toBe("in a container\n");
    expect((await fleet.run(["logs", "0"])).stdout).toContain('"msg":"kernel ready"');
    expect(await fleet.run(["logs", "1"])).toMatchObject({ exitCode: 1, stdout: "" });

    expect(await fleet.run(["down"])).toMatchObject({ exitCode: 0 });
    expect(await runs(pid)).toBe(false);
    const { fleetName } = new DataDir(fleet.dataDir);
    expect(await new Engine().containersWithLabels({ [FLEET_LABEL]: fleetName })).toEqual([]);
  });

  test("fleet down removes the containers of a manager that was killed, and says so", async () => {
    const up = await fleet.run(["up", "--port", "0", "-n", "2", "-d"]);
    process.kill(Number(/\(pid (\d+)\)/.exec(up.stdout)?.[1]), "SIGKILL");
    const { fleetName } = new DataDir(fleet.dataDir);
    const end = await fleet.run(["down"]);
    expect(end).toMatchObject({ exitCode: 0, stderr: "" });
    expect(end.stdout).toMatch(new RegExp(`fleet-${fleetName}-000, fleet-${fleetName}-001\n`));
    expect(await new Engine().containersWithLabels({ [FLEET_LABEL]: fleetName })).toEqual([]);
    expect((await fleet.run(["down"])).stdout).toBe(`no fleet runs in ${fleet.dataDir}\n`);
  });
});
