import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { FleetClient } from "#client/fleet-client.ts";
import { descendantsOf, FleetCommands, runs } from "#tests/support/fleet-command.ts";
import { until } from "#tests/support/until.ts";

let fleet: FleetCommands;

beforeEach(async () => {
  fleet = await FleetCommands.make();
  onTestFinished(() => fleet[Symbol.asyncDispose]());
});

function clientOf(url: string): FleetClient {
  const client = new FleetClient({ url });
  onTestFinished(() => client[Symbol.asyncDispose]());
  return client;
}

/** Brings a fleet of two up whose first session `mw@lab` is detached and has a variable `x`. */
async function upWithDetached() {
  const { command, url } = await fleet.up();
  const client = clientOf(url);
  const { session } = await client.ensureSession({ name: "mw", namespace: "lab" }, { detached: true });
  await client.execute("mw@lab", { code: "x = 42" });
  return { command, client, session, pids: await descendantsOf(command.pid) };
}

async function untilEnded(pids: readonly number[]): Promise<void> {
  await until("every process of the fleet has ended", async () => {
    const alive = await Promise.all(pids.map(runs));
    return alive.includes(true) ? undefined : true;
  });
}

async function expectNothingLeft(pids: readonly number[]): Promise<void> {
  await untilEnded(pids);
  expect(await fleet.temporaryFiles()).toEqual([]);
  const files = await readdir(fleet.dataDir);
  expect(files.filter((name) => !/^(lock|logs|logs\.previous|secret|fleet\.db.*)$/.test(name))).toEqual([]);
}

describe("a detached session", () => {
  test("stays when its fleet stops, and the next one takes it up with its variables", async () => {
    const { command, client, session } = await upWithDetached();
    const other = await client.allocate();
    command.signalGroup("SIGINT");
    const end = await command.ended;
    expect(end).toMatchObject({ exitCode: 0, signal: null });
    expect(end.stdout).toMatch(
      /^1 detached session stays for \d+ s: "fleet up" takes it up again, "fleet down"/m,
    );
    expect((await fleet.run(["status"])).stderr).toContain("no fleet runs in");

    const next = await fleet.up();
    const nextClient = clientOf(next.url);
    const { sessions } = await nextClient.sessions();
    expect(sessions.map(({ session_id }) => session_id)).toEqual([session.session_id]);
    const { outputs } = await nextClient.execute("mw@lab", { code: "x" });
    expect(outputs).toEqual([{ type: "result", data: { "text/plain": "42" } }]);
    await expect(nextClient.execute(other.session_id, { code: "1" })).rejects.toThrow("has ended");
  });

  test.each([
    ["runs", async () => undefined],
    ["has stopped", async (pid: number) => void process.kill(pid, "SIGTERM")],
    ["was killed", async (pid: number) => void process.kill(pid, "SIGKILL")],
  ])("is ended by fleet down when its manager %s", async (what, harm) => {
    const { command, pids, session } = await upWithDetached();
    await harm(command.pid);
    if (what !== "runs") await command.ended;
    const down = await fleet.run(["down"]);
    expect(down).toMatchObject({ exitCode: 0, stderr: "" });
    expect(down.stdout).toMatch(/^ended what its manager left: executor-0/m);
    await expectNothingLeft(pids);
    expect((await fleet.run(["down"])).stdout).toBe(`no fleet runs in ${fleet.dataDir}\n`);

    if (what !== "was killed") return;
    const next = await fleet.up();
    await expect(clientOf(next.url).session(session.session_id)).rejects.toMatchObject({
      code: "session_ended",
      message: expect.stringContaining("the fleet was taken down"),
    });
  });

  test("is not left behind by a fleet of another backend", async () => {
    const { command } = await upWithDetached();
    command.signalGroup("SIGINT");
    await command.ended;
    for (const name of ["up", "plan"]) {
      const end = await fleet.run([name, "--backend", "docker", "--port", "0"], {
        DOCKER_HOST: "unix:///no/such.sock",
      });
      expect(end).toMatchObject({ exitCode: 1, stdout: "" });
      expect(end.stderr).toContain("which had --backend process: take them up with that");
    }
    expect((await fleet.run(["plan", "--backend", "process"])).stdout).toMatch(/^keep executor \d: /m);
  });
});

describe("settings of sessions", () => {
  test("flags name the namespace, the idle time, the sessions to open, and that others are made on demand", async () => {
    const config = join(fleet.folder, "fleet.yml");
    await writeFile(config, "bootstrap:\n  - name: mw\n    detached: true\n");
    const flags = ["--namespace", "lab", "--idle-timeout", "77", "--auto-create", "--config", config];
    const { url } = await fleet.up(flags);
    const client = clientOf(url);
    expect(await client.connection()).toMatchObject({ namespace: "lab", backend: "process" });
    await until("the session of the config is open", async () => {
      const { singletons } = await client.sessions();
      return singletons[0]?.state === "open" ? true : undefined;
    });
    await client.execute("made", { code: "1" });
    expect(await client.session("made@lab")).toMatchObject({ idle_timeout: 77, detached: false });
    const look = await fleet.run(["monitor", "--once"]);
    expect(look).toMatchObject({ exitCode: 0, stderr: "" });
    expect(look.stdout).toContain("\nnamespace lab; ");
    expect(look.stdout).toMatch(/^ses_\w+ +made@lab +open /m);
    expect(look.stdout).toMatch(/^mw@lab +open +ses_/m);
  });
});
