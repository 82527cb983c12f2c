import { access } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { FleetCommands } from "#tests/support/fleet-command.ts";

let fleet: FleetCommands;

beforeEach(async () => {
  fleet = await FleetCommands.make();
  onTestFinished(() => fleet[Symbol.asyncDispose]());
});

const plan = (args: readonly string[]) => fleet.run(["plan", "--backend", "process", ...args]);

test("a plan tells every step of a first start with its cause, and makes nothing", async () => {
  const submissions = join(fleet.folder, "submissions");
  const end = await plan(["-n", "2", "-s", submissions]);
  expect(end).toMatchObject({ exitCode: 0, stderr: "" });
  expect(end.stdout.split("\n")).toEqual([
    "backend: process",
    `make folder ${fleet.dataDir}: it is not there`,
    `make folder ${join(submissions, "container_000")}: it is not there`,
    `make folder ${join(submissions, "container_001")}: it is not there`,
    expect.stringMatching(/^start executor 0: /),
    expect.stringMatching(/^start executor 1: /),
    "",
  ]);
  for (const path of [fleet.dataDir, submissions]) await expect(access(path)).rejects.toThrow("ENOENT");
  expect(await fleet.temporaryFiles()).toEqual([]);
});

test("of a fleet that runs it says what fits, what does not, and that up would refuse", async () => {
  await fleet.up(["-n", "1"]);
  const same = await plan(["-n", "1"]);
  expect(same.stdout).toMatch(/^backend: process\nkeep executor 0: .+\nnothing to do\n$/);
  expect(same.stderr).toMatch(/^warning: a fleet runs in .+ already .+: fleet up refuses while it does\n$/);

  const more = await plan(["-n", "2", "-e", "COLOUR=blue", "--json"]);
  const { backend, steps } = JSON.parse(more.stdout);
  expect(backend).toBe("process");
  expect(steps).toEqual([
    expect.stringMatching(/^remove executor 0: it was started with other settings/),
    expect.stringMatching(/^start executor 0: /),
    expect.stringMatching(/^start executor 1: /),
  ]);
  expect((await fleet.run(["status"])).stdout).toContain("1 executors (process): 1 free");
});

test("an engine that does not answer is waited for", async () => {
  const env = { DOCKER_HOST: "unix:///no/such.sock" };
  const end = await fleet.run(["plan", "--backend", "docker"], env);
  expect(end).toMatchObject({ exitCode: 0 });
  expect(end.stdout).toMatch(/^wait for the Docker engine: .*ENOENT/m);
});

test("bad flags are refused as fleet up refuses them", async () => {
  const end = await plan(["-n", "0", "--namespace", "a b"]);
  expect(end).toMatchObject({ exitCode: 2, stdout: "" });
  expect(end.stderr).toContain("--num-containers: ");
  expect(end.stderr).toContain("--namespace=");
});
