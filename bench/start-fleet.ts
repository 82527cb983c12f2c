import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { DataDir } from "#cli/data-dir.ts";
import { statusSchema } from "#contract/manager-api.ts";

/** A fleet started by the command `fleet up`, as a user would. */
export interface BenchFleet extends AsyncDisposable {
  pid: number;
  /** From the command's start until every executor is free, in milliseconds. */
  startMs: number;
  execute(executorNumber: number, code: string): Promise<void>;
}

const COMMAND = join(import.meta.dirname, "..", "dist", "fleet.js");
/** Enough to build the image of a type first. */
const START_LIMIT_MS = 600_000;
const STOP_LIMIT_MS = 30_000;
const POLL_INTERVAL_MS = 10;

/**
 * Starts `fleet up` with that many Python executors and waits until all are free.
 *
 * @throws {Error} when it ends or is not ready in time; nothing is left behind then.
 */
export async function startFleet(backend: "process" | "docker", executors: number): Promise<BenchFleet> {
  await using cleanup = new AsyncDisposableStack();
  const dataDir = new DataDir(await mkdtemp(join(tmpdir(), "bench-")));
  cleanup.defer(() => rm(dataDir.path, { recursive: true, force: true }));
  const place = ["--port", "0", "--data-dir", dataDir.path];
  const args = [COMMAND, "up", "--backend", backend, "-n", String(executors), ...place];
  const startedAt = performance.now();
  const command = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
  await once(command, "spawn");
  cleanup.defer(() => end(command));

  const url = await untilThere(command, async () => (await dataDir.readState())?.url);
  const pool = new Pool(url, { headersTimeout: 0, bodyTimeout: 0 });
  cleanup.defer(() => pool.destroy());
  const request = async (method: "GET" | "POST", path: string, body: string | null = null) => {
    const headers = { "content-type": "application/json" };
    const reply = await pool.request({ method, path, headers, body });
    return { status: reply.statusCode, text: await reply.body.text() };
  };
  await untilThere(command, async () => {
    // Refused while the command ends, which is told with its exit code.
    const reply = await request("GET", "/status").catch(() => undefined);
    if (!reply) return undefined;
    return statusSchema.parse(JSON.parse(reply.text)).available_containers === executors || undefined;
  });

  const startMs = performance.now() - startedAt;
  const running = cleanup.move();
  return {
    pid: command.pid ?? 0,
    startMs,
    async execute(executorNumber, code) {
      const reply = await request("POST", `/session/${executorNumber}/execute`, JSON.stringify({ code }));
      if (reply.status !== 200) throw new Error(`status ${reply.status}: ${reply.text}`);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Asks again and again while the command runs, until there is an answer. */
async function untilThere<T>(command: ChildProcess, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = AbortSignal.timeout(START_LIMIT_MS);
  for (;;) {
    deadline.throwIfAborted();
    if (hasEnded(command))
      throw new Error(`fleet up ended with ${command.signalCode ?? `exit code ${command.exitCode}`}`);
    const answer = await ask();
    if (answer !== undefined) return answer;
    await delay(POLL_INTERVAL_MS);
  }
}

async function end(command: ChildProcess): Promise<void> {
  if (hasEnded(command)) return;
  using timers = new DisposableStack();
  timers.use(setTimeout(() => command.kill("SIGKILL"), STOP_LIMIT_MS));
  const exited = once(command, "exit");
  command.kill("SIGTERM");
  await exited;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
