import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { FleetClient } from "#client/fleet-client.ts";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { FLEET_LABEL } from "#manager/fleet/docker/plan.ts";
import { DataDir } from "#cli/data-dir.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { FleetCommands, runs } from "#tests/support/fleet-command.ts";

/** Makes the engine answer on a socket of its own, as one does that is started late. */
async function serveEngineAt(socket: string): Promise<void> {
  const usual = process.env["DOCKER_HOST"]?.replace("unix://", "") ?? "/var/run/docker.sock";
  const proxy = createServer((client) => {
    const engine = connect(usual);
    client.pipe(engine).pipe(client);
    client.on("error", () => engine.destroy());
    engine.on("error", () => client.destroy());
  });
  proxy.listen(socket);
  await once(proxy, "listening");
  onTestFinished(() => void proxy.close());
}

const skipped = await reasonToSkipDocker();

describe.skipIf(skipped)(`fleet up on Docker${skipped ? `: skipped, ${skipped}` : ""}`, () => {
  let fleet: FleetCommands;

  beforeAll(async () => {
    fleet = await FleetCommands.make();
  });

  afterAll(() => fleet[Symbol.asyncDispose]());

  async function containers(): Promise<string[]> {
    const { fleetName } = new DataDir(fleet.dataDir);
    const found = await new Engine().containersWithLabels({ [FLEET_LABEL]: fleetName });
    return found.map(({ name }) => name);
  }

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
    expect(await containers()).toEqual([]);
  });

  test("fleet down removes the containers of a manager that was killed, and says so", async () => {
    const up = await fleet.run(["up", "--port", "0", "-n", "2", "-d"]);
    process.kill(Number(/\(pid (\d+)\)/.exec(up.stdout)?.[1]), "SIGKILL");
    const { fleetName } = new DataDir(fleet.dataDir);
    const end = await fleet.run(["down"]);
    expect(end).toMatchObject({ exitCode: 0, stderr: "" });
    expect(end.stdout).toMatch(new RegExp(`fleet-${fleetName}-000, fleet-${fleetName}-001\n`));
    expect(await containers()).toEqual([]);
    expect((await fleet.run(["down"])).stdout).toBe(`no fleet runs in ${fleet.dataDir}\n`);
  });

  test("a detached session stays in its container until the next fleet up, and ends with fleet down", async () => {
    const up = ["up", "--backend", "docker", "--port", "0", "-n", "2"];
    const first = fleet.start(up);
    const [, url = ""] = await first.printed(/^ready after .*: (http:.*)$/m);
    await using client = new FleetClient({ url });
    await client.ensureSession({ name: "mw" }, { detached: true });
    await client.execute("mw", { code: "x = 42" });
    const { container_id } = await client.session("mw");
    first.signalGroup("SIGINT");
    const end = await first.ended;
    expect(end.stdout).toMatch(/^1 detached session stays: "fleet up" takes it up again/m);
    expect(await containers()).toEqual([expect.stringMatching(`-00${container_id}$`)]);

    const plan = await fleet.run(["plan", "--backend", "docker", "-n", "2"]);
    expect(plan.stdout).toMatch(new RegExp(`^keep .*-00${container_id}: `, "m"));
    expect(plan.stdout).toMatch(new RegExp(`^create .*-00${1 - container_id}: `, "m"));
    expect(plan.stdout).not.toContain("nothing to do");
    expect(await containers()).toHaveLength(1);

    await fleet.run([...up, "-d"]);
    expect((await fleet.run(["exec", "x", "--session", "mw"])).stdout).toBe("42\n");
    expect((await fleet.run(["plan", "--backend", "docker", "-n", "2"])).stdout).toMatch(
      /\nnothing to do\n$/,
    );
    expect(await fleet.run(["down"])).toMatchObject({ exitCode: 0, stderr: "" });
    expect(await containers()).toEqual([]);
  });

  test("an engine that is started late is waited for", async () => {
    const socket = join(fleet.folder, "engine.sock");
    const env = { DOCKER_HOST: `unix://${socket}` };
    const command = fleet.start(["up", "--backend", "docker", "--port", "0", "-n", "1"], env);
    await command.printed(/^backend: docker \(no engine answers yet: .*ENOENT/m);
    await expect
      .poll(() => command.stderr)
      .toContain("waiting for the engine: start Docker, or use --backend process");
    await expect
      .poll(async () => (await fleet.run(["monitor", "--once"])).stdout, { timeout: 30_000 })
      .toMatch(/^0 .* starting /m);
    await serveEngineAt(socket);
    await command.printed(/^ready after /m);
    command.signalGroup("SIGINT");
    expect(await command.ended).toMatchObject({ exitCode: 0, signal: null });
    expect(await containers()).toEqual([]);
  });

  test("an engine that never comes does not keep Ctrl-C waiting", async () => {
    const env = { DOCKER_HOST: `unix://${join(fleet.folder, "no-engine.sock")}` };
    const command = fleet.start(["up", "--backend", "docker", "--port", "0", "-n", "1"], env);
    await command.printed(/^starting 1 python executor/m);
    command.signalGroup("SIGINT");
    expect(await command.ended).toMatchObject({ exitCode: 130, signal: null });
    expect((await fleet.run(["down"])).stdout).toBe(`no fleet runs in ${fleet.dataDir}\n`);
  });

  test("what the engine would refuse is told by the flag that asks for it", async () => {
    const flags = ["--backend", "docker", "--types", "r:1,r=no-such/image:1", "--cpus", "4096"];
    for (const name of ["up", "plan"]) {
      const end = await fleet.run([name, ...flags, "--port", "0"]);
      expect(end).toMatchObject({ exitCode: 2 });
      expect(end.stderr).toContain('--types: r=no-such/image:1: the engine has no such image: "docker pull');
      expect(end.stderr).toContain("--cpus: 4096 are more than the ");
    }
    expect(await containers()).toEqual([]);
  });
});
