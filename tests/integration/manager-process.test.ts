import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { statusSchema } from "#contract/manager-api.ts";
import { startScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { startForeignExecutor, type ForeignExecutor } from "#tests/support/foreign-executor.ts";
import { until } from "#tests/support/until.ts";

const PROGRAM = fileURLToPath(new URL("../../manager/main.ts", import.meta.url));

let folder: string;
let executor: ForeignExecutor;
let running: AsyncDisposable[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleet-main-"));
  executor = await startForeignExecutor();
});
afterAll(async () => {
  await executor[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});
afterEach(async () => {
  await Promise.all(running.map((one) => one[Symbol.asyncDispose]()));
  running = [];
});

/** Starts the manager as Compose would, in a folder of its own, which may hold a container config. */
async function start(env: Record<string, string>, config?: string) {
  const cwd = await mkdtemp(join(folder, "run-"));
  if (config !== undefined) await writeFile(join(cwd, "container_config.json"), config);
  const child = spawn(process.execPath, [PROGRAM], { cwd, env: { FLEET_PORT: "0", ...env } });
  const ended = Promise.all([once(child, "exit"), text(child.stdout)]);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  running.push({
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  });
  return {
    child,
    /** Waits until it listens. */
    url: () => until("the manager serves", () => /"url":"(http:[^"]+)"/.exec(stderr)?.[1]),
    /** Waits until it has ended by itself. */
    async end() {
      const [[code, signal], stdout] = await ended;
      return { code: Number(code), signal: String(signal), stdout, stderr };
    },
  };
}

interface RunOptions {
  seconds: number;
  accept?: string;
}

const configOf = (url: string) => JSON.stringify({ 0: url });

describe("a broken container config ends the start with exit code 1, and says what is wrong in which file", () => {
  test.each([
    ["no JSON", "{", "container_config.json: not JSON: "],
    ["nothing in it", "{}", "container_config.json: no executor in it"],
    [
      "a bad url",
      '{"0":{"url":"ftp://a","type":"python"}}',
      '"ftp://a" is neither http://host[:port] nor unix:',
    ],
    ["a bad number", '{"zero":"http://a:1"}', "the key is not an executor number"],
    ["no file", undefined, "container_config.json: ENOENT"],
  ])("%s", async (_, config, message) => {
    const manager = await start({}, config);
    const { code, stderr, stdout } = await manager.end();
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("    at ");
    expect(stdout).toBe("");
  });
});

describe("a bad environment ends the start with exit code 2", () => {
  test("and lists every bad variable", async () => {
    const manager = await start({ FLEET_PORT: "http", FLEET_ALLOCATION: "lax", FLEET_MAX_QUEUED: "0" });
    const { code, stderr } = await manager.end();
    expect(code).toBe(2);
    expect(stderr.split("\n").map((line) => line.split(":")[0])).toEqual([
      "bad environment",
      'FLEET_PORT="http"',
      'FLEET_ALLOCATION="lax"',
      'FLEET_MAX_QUEUED="0"',
      "",
    ]);
  });

  test("an address beyond loopback without keys is refused, with the way out", async () => {
    const manager = await start({ FLEET_HOST: "0.0.0.0" }, configOf(executor.url));
    const { code, stderr } = await manager.end();
    expect(code).toBe(2);
    expect(stderr).toMatch(/^refused to serve on 0\.0\.0\.0 without API keys: .* Set FLEET_API_KEYS/);
  });

  test("a key file that is not there is named", async () => {
    const manager = await start({ FLEET_API_KEYS_FILE: "/nowhere/keys" }, configOf(executor.url));
    const { code, stderr } = await manager.end();
    expect(code).toBe(2);
    expect(stderr).toMatch(/^FLEET_API_KEYS_FILE: ENOENT.*\/nowhere\/keys/);
  });

  test("an empty key file opens nothing", async () => {
    const keys = join(folder, "no-keys");
    await writeFile(keys, "# none yet\n");
    const manager = await start({ FLEET_API_KEYS_FILE: keys }, configOf(executor.url));
    const { code, stderr } = await manager.end();
    expect(code).toBe(2);
    expect(stderr).toMatch(/^FLEET_API_KEYS_FILE: .*no-keys holds no key/);
  });
});

test("a port that is taken ends the start with exit code 1", async () => {
  await using server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  const port = typeof address === "object" ? String(address?.port) : "";
  const manager = await start({ FLEET_PORT: port }, configOf(executor.url));
  const { code, stderr } = await manager.end();
  expect(code).toBe(1);
  expect(stderr).toContain(`EADDRINUSE: address already in use 127.0.0.1:${port}`);
});

describe("a manager that runs", () => {
  test.each([
    ["an old map of urls", (url: string) => JSON.stringify({ 0: url })],
    ["an old list of urls", (url: string) => JSON.stringify([url])],
    ["today's form", (url: string) => JSON.stringify({ 0: { url, type: "python" } })],
  ])("reads %s, serves, and ends with exit code 0 when it is asked to", async (_, form) => {
    const manager = await start({}, form(executor.url));
    const url = await manager.url();
    const reply = await fetch(`${url}/session/0/execute`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "print(6 * 7)",
    });
    expect(await reply.text()).toContain("42");
    manager.child.kill("SIGTERM");
    expect(await manager.end()).toMatchObject({ code: 0, stdout: "" });
  });

  test("takes its keys from a file, and lets nobody in without one but /health", async () => {
    const keys = join(folder, "keys");
    await writeFile(keys, "# the only one\nkey-1\n");
    const manager = await start({ FLEET_API_KEYS_FILE: keys }, configOf(executor.url));
    const url = await manager.url();
    const status = async (path: string, headers: Record<string, string> = {}) =>
      (await fetch(url + path, { headers })).status;
    expect(await status("/health")).toBe(200);
    expect(await status("/status")).toBe(401);
    expect(await status("/status", { "x-api-key": "key-2" })).toBe(401);
    expect(await status("/status", { "x-api-key": "key-1" })).toBe(200);
    expect(await status("/status", { authorization: "Bearer key-1" })).toBe(200);
  });

  test("writes nothing but its log, also when replies break off under its clients", async () => {
    await using broken = await startScriptedExecutor({
      "/half": (_, reply) => {
        reply.writeHead(200, { "content-length": "1000" }).write("half of", () => reply.destroy());
      },
    });
    const manager = await start({ LOG_LEVEL: "debug" }, configOf(broken.url));
    const reply = await fetch(`${await manager.url()}/session/0/half`);
    await expect(reply.text()).rejects.toThrow("terminated");
    manager.child.kill("SIGTERM");
    const { stderr, stdout } = await manager.end();
    expect(stdout).toBe("");
    expect(stderr.split("\n").filter((line) => !/^(\{.*\})?$/.test(line))).toEqual([]);
    expect(stderr).toContain('"msg":"SocketError: other side closed');
  });

  test("never writes a key or a token to its log", async () => {
    const manager = await start({ FLEET_API_KEYS: "secret-key", LOG_LEVEL: "trace" }, configOf(executor.url));
    const url = await manager.url();
    await fetch(`${url}/status`, { headers: { "x-api-key": "secret-key" } });
    await fetch(`${url}/status`, { headers: { "x-api-key": "secret-key-2" } });
    manager.child.kill("SIGTERM");
    expect((await manager.end()).stderr).not.toContain("secret-key");
  });

  /** A run of so many seconds; resolves when the code runs. */
  async function startRun(
    url: string,
    on: { number: number; executor: ForeignExecutor },
    options: RunOptions,
  ) {
    const { seconds, accept = "application/json" } = options;
    const code = `import time, __main__\n__main__.REFUSE.add("/begun-${seconds}")\ntime.sleep(${seconds})\nprint("done")`;
    const headers = { "content-type": "text/plain", accept };
    const reply = fetch(`${url}/session/${on.number}/execute`, { method: "POST", headers, body: code });
    await until("the code runs", async () => {
      const { status } = await fetch(`${on.executor.url}/begun-${seconds}`);
      return status === 500 || undefined;
    });
    return { reply };
  }

  test("lets what runs end within its budget, then goes at once", async () => {
    const manager = await start({}, configOf(executor.url));
    const { reply } = await startRun(await manager.url(), { number: 0, executor }, { seconds: 0.5 });
    const startedAt = performance.now();
    manager.child.kill("SIGTERM");
    expect(await (await reply).text()).toContain("done");
    expect(await manager.end()).toMatchObject({ code: 0 });
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });

  test("is not held up by connections that were opened in advance", async () => {
    const manager = await start({}, configOf(executor.url));
    const unused = connect(Number(new URL(await manager.url()).port), "127.0.0.1");
    await once(unused, "connect");
    // A process that ends before it has accepted a connection resets it.
    unused.on("error", () => undefined);
    const startedAt = performance.now();
    manager.child.kill("SIGTERM");
    expect(await manager.end()).toMatchObject({ code: 0 });
    expect(performance.now() - startedAt).toBeLessThan(2000);
    unused.destroy();
  });

  test("tells the clients of longer runs an outcome before it goes", async () => {
    await using second = await startForeignExecutor();
    await using third = await startForeignExecutor();
    const manager = await start({}, JSON.stringify([second.url, third.url]));
    const url = await manager.url();
    const runs = [
      await startRun(url, { number: 0, executor: second }, { seconds: 30 }),
      await startRun(url, { number: 1, executor: third }, { seconds: 30, accept: "application/x-ndjson" }),
    ];
    manager.child.kill("SIGTERM");
    for (const { reply } of runs) {
      const told = await (await reply).text();
      expect(told).toContain("The manager stops, and the executor with it");
      expect(told.match(/"outcome":"executor_lost"/g)).toHaveLength(1);
    }
    expect(await manager.end()).toMatchObject({ code: 0 });
  });

  test("tells who waits for an executor that it stops", async () => {
    const manager = await start({}, configOf(executor.url));
    const url = await manager.url();
    const allocate = () => fetch(`${url}/allocate?container_type=python&wait=20`, { method: "POST" });
    expect((await allocate()).status).toBe(200);
    const waiting = allocate();
    await until("it waits", async () => {
      const status = statusSchema.parse(await (await fetch(`${url}/status`)).json());
      return status.waiting_allocations === 1 || undefined;
    });
    manager.child.kill("SIGTERM");
    expect((await waiting).status).toBe(503);
    expect(await (await waiting).json()).toMatchObject({ code: "shutting_down" });
    expect(await manager.end()).toMatchObject({ code: 0 });
  });
});
