import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { json } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { offerEnvironment } from "#executor/kernel/environment-socket.ts";
import { ExecutorProcess } from "#tests/support/executor-process.ts";
import { until } from "#tests/support/until.ts";

const HOST_SCRIPT = join(import.meta.dirname, "../../executor/kernel/kernel-host.py");
const SECRET = "secret-value";
/** More than any pipe or socket takes at once. */
const LONG_VALUE = "v".repeat(100_000);
const LONG_VALUES = Object.fromEntries(["A", "B", "C", "D", "E", "F", "G", "H"].map((n) => [n, LONG_VALUE]));

/** In place of Python: takes the commands that kernels are started by, keeps them, and never starts one. */
const IDLE_HOST = `#!/bin/sh\nexec cat >"$TMPDIR/commands"\n`;
/** Lets the kernel end that is forked next after the file is there, before it has done anything. */
const DIE_AFTER_FORK = `
import os
fork, file = os.fork, os.environ["DIE_AFTER_FORK"]
def fork_or_die():
    pid = fork()
    if pid == 0 and os.path.exists(file):
        os.unlink(file)
        os._exit(9)
    return pid
os.fork = fork_or_die
`;

let dir: string;

/** What is on disk below a folder. */
async function filesBelow(folder: string): Promise<{ name: string; content: string }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return await Promise.all(
    files.map(async ({ parentPath, name }) => ({
      name,
      content: await readFile(join(parentPath, name), "latin1"),
    })),
  );
}

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "env-socket-"));
});
afterAll(() => rm(dir, { recursive: true }));

test("variables are in no file when the executor is killed before a kernel has taken them", async () => {
  const python = join(dir, "idle-host");
  await writeFile(python, IDLE_HOST);
  await chmod(python, 0o755);
  await using executor = await ExecutorProcess.launch({ KERNEL_PYTHON: python });
  const untilCommands = (count: number) =>
    until(`${count} kernels are to be started`, async () => {
      const commands = await readFile(join(executor.dir, "commands"), "utf8").catch(() => "");
      return commands.split("\n").length > count || undefined;
    });
  await untilCommands(1);
  await until("it listens", () => executor.restart({ SECRET }).catch(() => undefined));
  await untilCommands(2);
  process.kill(executor.pid, "SIGKILL");
  await executor.ended();
  const files = await filesBelow(executor.dir);
  expect(files.map(({ name }) => name).toSorted()).toEqual(["commands", "connection.json"]);
  for (const { content } of files) expect(content).not.toContain(SECRET);
});

test("variables of any length reach the kernel", async () => {
  await using executor = await ExecutorProcess.start();
  await executor.restart(LONG_VALUES);
  const code = `import os; print(*(os.environ[name] == "v" * ${LONG_VALUE.length} for name in "ABCDEFGH"))`;
  expect(await executor.printed(code)).toBe(`${Array(8).fill("True").join(" ")}\n`);
});

test("a kernel that ends before it has taken its variables keeps nothing waiting, and the next one has them", async () => {
  const file = join(dir, "die-after-fork");
  await writeFile(join(dir, "sitecustomize.py"), DIE_AFTER_FORK);
  await using executor = await ExecutorProcess.start({ PYTHONPATH: dir, DIE_AFTER_FORK: file });
  await writeFile(file, "");
  await executor.restart(LONG_VALUES);
  expect((await executor.execute("1")).outputs).toMatchObject([
    { name: "KernelError", value: expect.stringContaining("exit code 9") },
  ]);
  expect(await executor.printed("import os; print(len(os.environ['A']))")).toBe(`${LONG_VALUE.length}\n`);
  const sockets = await readFile("/proc/net/unix", "utf8");
  expect(sockets).toContain(`${executor.dir}/socket`);
  expect(sockets).not.toMatch(new RegExp(`${basename(executor.dir)}/.*/env\n`));
});

test("a kernel whose executor goes away while it takes its variables ends", async () => {
  const path = join(dir, "half");
  const server = createServer((connection) => {
    connection.write(`{"A":"ha`, () => connection.destroy());
  });
  server.listen(path);
  await once(server, "listening");
  const python = process.env["FLEET_PYTHON"] ?? "python3";
  const host = spawn(python, [HOST_SCRIPT], { stdio: ["pipe", "ignore", "ignore", "pipe"] });
  const reports = host.stdio[3];
  if (!reports || !("readable" in reports)) throw new Error("there is no descriptor for reports");
  const start = { id: "1", connection_file: "", environment_socket: path, working_dir: dir, user: null };
  host.stdin?.write(`${JSON.stringify({ start: { ...start, max_text_length: 1 } })}\n`);
  const lines: string[] = [];
  for await (const line of createInterface({ input: reports })) {
    lines.push(line);
    if (line.includes("exited")) host.stdin?.end();
  }
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { started: { id: "1", pid: expect.any(Number) } },
    { exited: { id: "1", code: 1, signal: null } },
  ]);
  server.close();
});

test("variables are there for the first who asks, once", async () => {
  const path = join(dir, "once");
  const offer = await offerEnvironment(path, LONG_VALUES);
  const closed = once(offer, "close");
  expect(await json(connect(path))).toEqual(LONG_VALUES);
  await closed;
  expect(await readdir(dir)).not.toContain(basename(path));
});
