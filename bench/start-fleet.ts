import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Pool } from "undici";
import { statusSchema } from "#contract/manager-api.ts";

/** A fleet started by the command `fleet up`, as a user would. */
export interface BenchFleet extends AsyncDisposable {
  pid: number;
  /** From the command's start until every executor is free, in milliseconds. */
  startMs: number;
  execute(executorNumber: number, code: string): Promise<void>;
}

/** Starts `fleet up` with that many Python executors and waits until all are free. */
export async function startFleet(backend: "process" | "docker", executors: number): Promise<BenchFleet> {
  const dataDir = await mkdtemp(join(tmpdir(), "bench-"));
  const port = await freePort();
  const args = [
    "up",
    "--backend",
    backend,
    "-n",
    String(executors),
    "--port",
    String(port),
    "--data-dir",
    dataDir,
  ];
  const startedAt = performance.now();
  const fleet = spawn(process.execPath, ["dist/fleet.js", ...args], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const pool = new Pool(`http://127.0.0.1:${port}`, { headersTimeout: 0, bodyTimeout: 0 });
  const request = async (method: "GET" | "POST", path: string, body: string | null = null) => {
    const headers = { "content-type": "application/json" };
    const reply = await pool.request({ method, path, headers, body });
    return { status: reply.statusCode, text: await reply.body.text() };
  };
  for (;;) {
    if (fleet.exitCode !== null) throw new Error(`fleet up ended with exit code ${fleet.exitCode}`);
    const reply = await request("GET", "/status").catch(() => undefined);
    if (reply && statusSchema.parse(JSON.parse(reply.text)).available_containers === executors) break;
    await delay(10);
  }
  return {
    pid: fleet.pid ?? 0,
    startMs: performance.now() - startedAt,
    async execute(executorNumber, code) {
      const reply = await request("POST", `/session/${executorNumber}/execute`, JSON.stringify({ code }));
      if (reply.status !== 200) throw new Error(`status ${reply.status}: ${reply.text}`);
    },
    async [Symbol.asyncDispose]() {
      await pool.close();
      fleet.kill("SIGTERM");
      if (fleet.exitCode === null) await once(fleet, "exit");
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no free port on loopback");
  return address.port;
}
