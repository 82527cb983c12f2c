import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { FleetClient } from "#client/fleet-client.ts";
import { statusSchema } from "#contract/manager-api.ts";
import { FleetCommands } from "#tests/support/fleet-command.ts";
import { until } from "#tests/support/until.ts";

const KEY = "test-key";
// Not `pass`: an interrupt that comes on the jump of an empty loop is caught by no `except` around it (CPython 3.11).
const FOREVER = "while True: time.sleep(0.01)";

let fleet: FleetCommands;
let client: FleetClient;

beforeAll(async () => {
  fleet = await FleetCommands.make();
  const keyFile = join(fleet.folder, "keys");
  await writeFile(keyFile, `# of this test\n${KEY}\n`);
  const { url } = await fleet.up(["--api-key-file", keyFile]);
  client = new FleetClient({ url, apiKey: KEY });
});

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await fleet[Symbol.asyncDispose]();
});

const run = (args: readonly string[], input?: string) => fleet.run(args, { FLEET_API_KEY: KEY }, input);
const start = (args: readonly string[]) => fleet.start(args, { FLEET_API_KEY: KEY });

async function expectAllFree(): Promise<void> {
  const { available_containers } = await client.status();
  expect(available_containers).toBe(2);
}

/** Starts an endless run and resolves when it runs. */
async function startEndless(code = FOREVER) {
  const command = start(["exec", `import time\nprint("begun", flush=True)\n${code}`]);
  await command.printed(/begun/);
  return command;
}

describe("a run", () => {
  test("prints to the stream that the code printed to, then the result, and ends its session", async () => {
    const file = join(fleet.folder, "script.py");
    await writeFile(file, "import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7\n");
    expect(await run(["run", file])).toEqual({
      exitCode: 0,
      signal: null,
      stdout: "out\n42\n",
      stderr: "err\n",
    });
    await expectAllFree();
  });

  test("reads its code from standard input", async () => {
    expect((await run(["exec", "-"], "print('é')")).stdout).toBe("é\n");
    expect((await run(["run", "-"], "print('ü')")).stdout).toBe("ü\n");
  });

  test("prints while the code runs", async () => {
    const command = await startEndless();
    command.signalGroup("SIGTERM");
    expect((await command.ended).exitCode).toBe(143);
  });

  test.each([
    [1, "1 / 0", [], /^ZeroDivisionError +Traceback[^]+ZeroDivisionError: division by zero\n$/],
    [124, "import time; time.sleep(60)", ["--timeout", "1"], /TimeoutError: Execution timed out after 1 sec/],
    [4, "import os; os._exit(3)", [], /KernelDied: .*exit code 3\nfleet: outcome kernel_died/],
  ])("ends with exit code %i for %j", async (exitCode, code, flags, stderr) => {
    const end = await run(["exec", code, ...flags]);
    expect(end).toMatchObject({ exitCode, stdout: "", stderr: expect.stringMatching(stderr) });
  });

  test("in a session of its own name keeps the session and its variables", async () => {
    const { session_id } = await client.allocate();
    await run(["exec", "kept = 1", "--session", session_id]);
    expect((await run(["exec", "kept", "--session", session_id])).stdout).toBe("1\n");
    await client.deallocate(session_id);
    const end = await run(["exec", "kept", "--session", session_id]);
    expect(end).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("has ended: deallocated") });
  });

  test("of a TypeScript file goes to an executor of that type", async () => {
    await using mixed = await FleetCommands.make();
    await mixed.up(["--types", "python:1,typescript:1"]);
    const file = join(mixed.folder, "script.ts");
    await writeFile(file, "const x: number = 41;\nconsole.log(x + 1);\nx");
    expect(await mixed.run(["run", file])).toMatchObject({ exitCode: 0, stdout: "42\n41\n", stderr: "" });
  });

  test("gives up at the first write that nobody reads", async () => {
    const command = await startEndless("while True: print('more')");
    command.stopReading();
    expect((await command.ended).exitCode).toBe(1);
    await expectAllFree();
  });
});

describe("Ctrl-C", () => {
  test("interrupts the run, which comes to its own end", async () => {
    const code = `try:\n  ${FOREVER}\nfinally: print('cleaned up')`;
    const command = await startEndless(code);
    command.signalGroup("SIGINT");
    const end = await command.ended;
    expect(end).toMatchObject({ exitCode: 130, signal: null, stdout: "begun\ncleaned up\n" });
    expect(end.stderr).toContain("KeyboardInterrupt");
    await expectAllFree();
  });

  test("a second time gives up a run that ignores the first", async () => {
    const attempt = `  try: time.sleep(60)\n  except KeyboardInterrupt: print('ignored', flush=True)`;
    const code = `while True:\n${attempt}`;
    const command = await startEndless(code);
    const { exitCode, signal, stdout } = await command.interruptUntilEnded();
    expect(stdout).toContain("ignored");
    // One more Ctrl-C may find it on its way out.
    expect(signal ?? exitCode).toBeOneOf(["SIGINT", 130]);
    await until("every executor is free", async () =>
      (await client.status()).available_containers === 2 ? true : undefined,
    );
  });

  test("ends the command at once the third time, even where the manager hangs", async () => {
    const session = { container_id: 0, type: "python", url: "/", session_id: "ses_1", expires_at: "later" };
    const hung = createServer((request, response) => {
      if (request.url?.startsWith("/allocate")) response.end(JSON.stringify(session));
    }).listen(0, "127.0.0.1");
    await once(hung, "listening");
    onTestFinished(() => {
      hung.closeAllConnections();
      hung.close();
    });
    const executing = once(hung, "request").then(() => once(hung, "request"));
    const address = hung.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const command = start(["exec", "1", "--url", `http://127.0.0.1:${port}`]);
    await executing;
    expect(await command.interruptUntilEnded()).toMatchObject({ exitCode: null, signal: "SIGINT" });
  });

  test("gives up waiting for an executor", async () => {
    const held = await Promise.all([client.allocate(), client.allocate()]);
    const command = start(["exec", "1"]);
    await until("it waits", async () =>
      (await client.status()).waiting_allocations === 1 ? true : undefined,
    );
    command.signalGroup("SIGINT");
    expect(await command.ended).toMatchObject({ exitCode: 130, stdout: "", stderr: "" });
    await until("it waits no more", async () =>
      (await client.status()).waiting_allocations === 0 ? true : undefined,
    );
    await Promise.all(held.map(({ session_id }) => client.deallocate(session_id)));
    await expectAllFree();
  });
});

describe("a command that cannot do its work says why", () => {
  test.each([
    [["run", "no-such-file.py"], 2, "cannot read no-such-file.py"],
    [["exec", "1", "--timeout", "soon"], 2, '--timeout: "soon" is not a number of seconds'],
    [["exec", "1", "--session", "0", "--type", "python"], 2, "--type: a session has its type already"],
    [["exec", "1", "--type", "cobol"], 1, "Unknown container type: cobol\nGET /status lists the types"],
    [["exec", "1", "--session", "99"], 1, "Container 99 not found"],
    [["status", "--url", "nonsense"], 2, '"nonsense" is not the URL of a manager'],
    [["status", "--url", "http://127.0.0.1:1"], 1, "no manager answers at http://127.0.0.1:1"],
    [["status", "--data-dir", "/no/such/folder"], 1, "no fleet runs in /no/such/folder"],
    [["logs", "7"], 1, "there is no log"],
    [["logs", "x"], 2, '"x" is not a number of an executor'],
  ])("fleet %j", async (args, exitCode, message) => {
    const end = await run(args);
    expect(end).toMatchObject({ exitCode, stdout: "" });
    expect(end.stderr).toContain(message);
    expect(end.stderr).not.toMatch(/^ +at /m);
  });

  test("without the key it is told how to send it", async () => {
    const end = await fleet.run(["status"], { FLEET_API_KEY: "" });
    expect(end).toMatchObject({ exitCode: 1, stderr: expect.stringContaining("An API key is needed") });
  });
});

describe("status and logs", () => {
  test("status is a table for humans and the manager's reply for programs", async () => {
    const { session_id } = await client.allocate();
    const { stdout } = await run(["status"]);
    expect(stdout).toContain("2 executors (process): 1 free, 1 allocated");
    expect(stdout).toMatch(new RegExp(`^\\d +python +allocated +${session_id}$`, "m"));
    const { stdout: json } = await run(["status", "--json"]);
    expect(statusSchema.parse(JSON.parse(json)).allocated_containers).toBe(1);
    await client.deallocate(session_id);
  });

  test("logs of the manager and of an executor are followed until Ctrl-C", async () => {
    expect((await run(["logs", "0"])).stdout).toContain('"msg":"kernel ready"');
    const following = start(["logs", "--follow"]);
    await following.printed(/executor changed state/);
    const { session_id } = await client.allocate();
    await following.printed(new RegExp(session_id));
    following.signalGroup("SIGINT");
    expect((await following.ended).exitCode).toBe(130);
    await client.deallocate(session_id);
  });
});
