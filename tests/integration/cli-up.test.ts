import { access, mkdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
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

async function untilAllEnded(pids: readonly number[]): Promise<void> {
  await until("every process of the fleet has ended", async () => {
    const alive = await Promise.all(pids.map(runs));
    return alive.includes(true) ? undefined : true;
  });
}

async function expectNothingLeft(pids: readonly number[]): Promise<void> {
  await untilAllEnded(pids);
  expect(await fleet.temporaryFiles()).toEqual([]);
}

describe("a fleet in the foreground", () => {
  test("keeps variables in a session and shows them to no other, and loads mounted code", async () => {
    const code = join(fleet.folder, "code");
    await mkdir(code);
    await writeFile(join(code, "greetings.py"), "def greet(name):\n    return f'Hello, {name}!'\n");
    await writeFile(join(code, "broken.py"), "1 / 0\n");
    const submissions = join(fleet.folder, "submissions");
    const { command, url } = await fleet.up(["-m", code, "-s", submissions, "-e", "COLOUR=blue"], {
      FLEET_API_KEY: "not for user code",
    });

    await using client = new FleetClient({ url });
    const first = await client.execute(0, { code: "x = 42\nprint(x)" });
    expect(first.outputs).toEqual([{ type: "stream", name: "stdout", text: "42\n" }]);
    const second = await client.execute(0, { code: "x + 1" });
    expect(second.outputs).toEqual([{ type: "result", data: { "text/plain": "43" } }]);
    expect((await client.execute(1, { code: "x" })).outcome).toBe("error");

    const names =
      "import os; e = os.environ; print(greet(e['COLOUR']), e['SUBMISSION_DIR'], e.get('FLEET_API_KEY'))";
    const { outputs } = await client.execute(1, { code: names });
    const text = `Hello, blue! ${join(submissions, "container_001")} None\n`;
    expect(outputs).toEqual([{ type: "stream", name: "stdout", text }]);
    expect(command.stderr).toContain("warning: mounted file broken.py failed: ZeroDivisionError");
    expect(command.stderr).toContain("warning: Executors run as plain processes");
  });

  test.each(["SIGINT", "SIGTERM"] as const)("%s leaves no process and no file behind", async (signal) => {
    const { command, url } = await fleet.up();
    await using client = new FleetClient({ url });
    await client.execute(0, { code: "import subprocess; child = subprocess.Popen(['sleep', '1000'])" });
    const pids = await descendantsOf(command.pid);
    expect(pids.length).toBeGreaterThanOrEqual(7);

    command.signalGroup(signal);
    expect(await command.ended).toMatchObject({ exitCode: 0, signal: null });
    await expectNothingLeft(pids);
    await expect(access(join(fleet.dataDir, "fleet.json"))).rejects.toThrow("ENOENT");
  });

  test("a Ctrl-C that npm passes on once more is one request to stop", async () => {
    const { command } = await fleet.up(["-n", "1"]);
    const pids = await descendantsOf(command.pid);
    command.signalGroup("SIGINT");
    process.kill(command.pid, "SIGINT");
    expect(await command.ended).toMatchObject({ exitCode: 0, signal: null });
    await expectNothingLeft(pids);
  });

  test("a second Ctrl-C does not wait for what runs, and fleet down ends its executors", async () => {
    const { command, url } = await fleet.up(["-n", "1"]);
    const pids = await descendantsOf(command.pid);
    await using client = new FleetClient({ url });
    const begun = Promise.withResolvers<void>();
    const running = (async () => {
      const code = "print(1, flush=True)\nwhile True: pass";
      for await (const { type } of client.stream(0, { code })) if (type === "output") begun.resolve();
    })();
    await Promise.race([begun.promise, running]);
    const [end] = await Promise.all([
      command.interruptUntilEnded(),
      expect(running).rejects.toThrow("the connection to"),
    ]);
    expect(end).toMatchObject({ exitCode: null, signal: "SIGINT" });
    expect(end.stdout).toContain('ended; "fleet down" ends what it has left');
    expect(await fleet.run(["down"])).toMatchObject({ exitCode: 0, stderr: "" });
    await expectNothingLeft(pids);
  });

  test("a start that no executor survives fails with the reason and leaves nothing behind", async () => {
    const up = ["up", "--backend", "process", "--port", "0", "-e", "CODE_LOADING_TIMEOUT=soon"];
    const end = await fleet.run(up);
    expect(end).toMatchObject({ exitCode: 1 });
    expect(end.stderr).toContain("executor 0 does not start: the process ended with exit code 2");
    expect(end.stderr).toContain(join(fleet.dataDir, "logs"));
    expect((await fleet.run(["logs", "0"])).stdout).toContain("CODE_LOADING_TIMEOUT");
    expect(await fleet.temporaryFiles()).toEqual([]);
  });
});

describe("a fleet in the background", () => {
  test("is ready when the command returns, refuses a second one beside it, and ends by fleet down", async () => {
    const up = ["up", "--backend", "process", "--port", "0", "-n", "1", "-d"];
    const first = await fleet.run(up);
    expect(first).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("warning: Executors run") });
    const [, pid = ""] = /background \(pid (\d+)\)/.exec(first.stdout) ?? [];
    const pids = [Number(pid), ...(await descendantsOf(Number(pid)))];

    expect((await fleet.run(["status"])).stdout).toContain("1 executors (process): 1 free, 0 allocated");
    const second = await fleet.run(up);
    expect(second).toMatchObject({ exitCode: 1 });
    expect(second.stderr).toContain(
      `a fleet runs in ${fleet.dataDir} already (pid ${pid}, http://127.0.0.1:`,
    );

    expect(await fleet.run(["down"])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/stopped\n$/),
    });
    await expectNothingLeft(pids);
    expect(await fleet.run(["down"])).toMatchObject({
      exitCode: 0,
      stdout: `no fleet runs in ${fleet.dataDir}\n`,
    });
  });
});

describe("what cannot be started", () => {
  test("every bad flag and variable is told at once, and nothing is made", async () => {
    const flags = [
      "--types",
      "python",
      "--port",
      "70000",
      "--memory",
      "1",
      "-m",
      "/no/such",
      "-e",
      "novalue",
      "--namespace",
      "a b",
      "--idle-timeout",
      "soon",
      "--config",
      "/no/such.yml",
    ];
    const end = await fleet.run(["up", ...flags, "-n", "0"], { FLEET_ALLOCATION: "half-open" });
    expect(end).toMatchObject({ exitCode: 2, stdout: "" });
    for (const name of ["--types", "--port", "--memory", "--mountable-volumes", "--env", "--num-containers"])
      expect(end.stderr).toContain(`${name}: `);
    expect(end.stderr).toContain('--namespace="a b": ');
    expect(end.stderr).toContain('--idle-timeout="soon": ');
    expect(end.stderr).toContain('FLEET_ALLOCATION="half-open"');
    await expect(access(fleet.dataDir)).rejects.toThrow("ENOENT");
  });

  test.each([
    [["up", "--no-such-flag"], "unknown option '--no-such-flag'"],
    [["up", "--backend", "cloud"], "Allowed choices are auto, docker, process"],
    [["up", "--host", "0.0.0.0"], "refused to serve on 0.0.0.0 without API keys"],
    [
      ["up", "--api-key-file", "/no/such"],
      "--api-key-file: ENOENT: no such file or directory, open '/no/such'",
    ],
    [["up", "--config", "/no/such"], "--config: /no/such: ENOENT"],
    [["frobnicate"], "unknown command 'frobnicate'"],
  ])("fleet %j is refused with exit code 2", async (args, message) => {
    const end = await fleet.run(args);
    expect(end).toMatchObject({ exitCode: 2, stdout: "" });
    expect(end.stderr).toContain(message);
    expect(end.stderr).not.toMatch(/^ +at /m);
  });

  test.each([["/proc/no/such"], ["/dev/null"]])(
    "a data folder %s, which cannot be made, is told",
    async (path) => {
      for (const detach of [[], ["-d"]]) {
        const end = await fleet.run([
          "up",
          "--backend",
          "process",
          "--port",
          "0",
          "--data-dir",
          path,
          ...detach,
        ]);
        expect(end).toMatchObject({ exitCode: 1, stdout: "" });
        expect(end.stderr).toContain(`the data folder ${path} cannot be made`);
        expect(end.stderr).toContain("--data-dir");
      }
    },
  );

  test("an engine that is named but does not answer is no reason to run without isolation", async () => {
    const end = await fleet.run(["up", "--port", "0"], { DOCKER_HOST: "unix:///no/such.sock" });
    expect(end).toMatchObject({ exitCode: 1, stdout: "" });
    expect(end.stderr).toContain("ENOENT");
    expect(end.stderr).toContain("DOCKER_HOST is unix:///no/such.sock");
  });

  test("a taken port is told with the way to find out by whom, before anything is started", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = String(typeof address === "object" ? address?.port : "");
    const end = await fleet.run(["up", "--backend", "process", "--port", port]);
    expect(end).toMatchObject({ exitCode: 1, stdout: "" });
    expect(end.stderr).toContain(`port ${port} of 127.0.0.1 is taken`);
    expect(end.stderr).toContain("--port");
  });

  test("a type that only an image can bring needs Docker", async () => {
    const types = "r:1,r=my/r-executor:1";
    const end = await fleet.run(["up", "--backend", "process", "--port", "0", "-t", types]);
    expect(end).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("needs Docker") });
  });
});
