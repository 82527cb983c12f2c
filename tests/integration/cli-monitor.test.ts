import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { serveTold } from "#tests/support/fake-manager.ts";
import { FleetCommands } from "#tests/support/fleet-command.ts";
import { allWell, type Told } from "#tests/support/manager-replies.ts";
import { until } from "#tests/support/until.ts";

let fleet: FleetCommands;

beforeEach(async () => {
  fleet = await FleetCommands.make();
  onTestFinished(() => fleet[Symbol.asyncDispose]());
});

function harm({ status }: Told): void {
  Object.assign(status.executors[1] ?? {}, { state: "unhealthy", reason: "it ended" });
}

describe("one look", () => {
  test("ends with code 0 when all is well, and with code 1 when something is down", async () => {
    const told = allWell();
    const url = await serveTold(told);
    const well = await fleet.run(["monitor", "--once", "--url", url]);
    expect(well).toMatchObject({ exitCode: 0, stderr: "" });
    expect(well.stdout).toMatch(/^2 executors \(docker\): 1 free, 1 allocated\n[^]*open +ses_1\n$/);
    harm(told);
    const ill = await fleet.run(["monitor", "--once", "--url", url]);
    expect(ill).toMatchObject({ exitCode: 1, stderr: "" });
    expect(ill.stdout).toContain("\ndown: executor 1 is unhealthy: it ended\n");
  });

  test("is one JSON document for programs", async () => {
    const url = await serveTold(allWell());
    const { stdout, exitCode } = await fleet.run(["monitor", "--once", "--json", "--url", url]);
    const { status, connection, list } = allWell();
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(stdout)).toMatchObject({ down: [], status, connection, ...list });
  });

  test.each([[[]], [["--url", "http://127.0.0.1:1"]]])(
    "with %j, where no manager is, ends with code 1",
    async (flags) => {
      const end = await fleet.run(["monitor", "--once", ...flags]);
      expect(end).toMatchObject({ exitCode: 1, stderr: "" });
      expect(end.stdout).toMatch(/^down: manager: no (fleet runs in|manager answers at) .+\n$/);
    },
  );

  test("with an interval that is none is refused", async () => {
    const end = await fleet.run(["monitor", "--interval", "0"]);
    expect(end).toMatchObject({ exitCode: 2, stdout: "", stderr: expect.stringContaining("--interval: ") });
  });
});

describe("looking again and again", () => {
  test("goes on until Ctrl-C and ends with the code of the last look", async () => {
    const told = allWell();
    const url = await serveTold(told);
    const command = fleet.start(["monitor", "--json", "--interval", "0.05", "--url", url]);
    await command.printed(/"down":\[\]/);
    harm(told);
    await command.printed(/"down":\["executor 1 is unhealthy: it ended"\]/);
    command.signalGroup("SIGINT");
    const end = await command.ended;
    expect(end).toMatchObject({ exitCode: 1, signal: null, stderr: "" });
    const looks = end.stdout.trimEnd().split("\n");
    expect(looks.length).toBeGreaterThan(1);
    for (const look of looks) JSON.parse(look);
  });

  test("finds a fleet that is started later, and ends with code 0 when all is well then", async () => {
    const command = fleet.start(["monitor", "--interval", "0.05"]);
    await command.printed(/down: manager: no fleet runs/);
    await fleet.up(["-n", "1"]);
    await until("it sees the fleet", () => {
      const last = command.stdout.lastIndexOf("1 executors (process): 1 free");
      return last > command.stdout.lastIndexOf("down:") ? true : undefined;
    });
    command.signalGroup("SIGINT");
    expect(await command.ended).toMatchObject({ exitCode: 0, stderr: "" });
  });
});
