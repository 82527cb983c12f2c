import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createAdaptorServer, type ServerType } from "@hono/node-server";
import { destination, pino, type Logger } from "pino";
import { createLauncher } from "#executor/kernel/kernel-launcher.ts";
import { Kernel } from "#executor/kernel/kernel.ts";
import { MemoryGroup } from "#executor/kernel/memory.ts";
import { createApp } from "./app.ts";
import { ConfigError, readConfig, type ExecutorConfig } from "./config.ts";
import { ExecutionQueue } from "./execution-queue.ts";

const BAD_CONFIG_EXIT_CODE = 2;
/** What the kernel makes is shared with the server by the group, where the two are different users. */
const GROUP_UMASK = 0o007;
/** Longer than any client of a pool keeps an idle connection, so that none is closed under a request. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const STOP_BUDGET_MS = 5000;

async function main(): Promise<void> {
  // oxlint-disable-next-line node/no-process-env -- the one place where this process reads its environment
  const config = readConfig(process.env);
  const log = pino({ level: config.logLevel, base: { name: "executor" } }, destination(2));
  routeConsole(log);
  if (config.kernelUser !== undefined) process.umask(GROUP_UMASK);
  const runtimeDir = await mkdtemp(join(tmpdir(), "executor-"));
  if (config.kernelUser !== undefined) await chmod(runtimeDir, 0o770);

  const memory = new MemoryGroup();
  const kernel = new Kernel({
    name: config.kernelName,
    launcher: await createLauncher(config, log),
    runtimeDir,
    workingDir: config.workingDir,
    workspaceFolder: config.workspaceFolder,
    codeLoadingTimeoutMs: config.codeLoadingTimeoutMs,
    maxOutputBytes: config.maxOutputBytes,
    memory,
    log,
  });
  kernel.start();
  const executions = new ExecutionQueue({ kernel, memory, limits: config, log });
  const bootId = randomUUID();
  const app = createApp({ ...config, kernel, executions, memory, bootId, log });
  const server = createAdaptorServer({ fetch: app.fetch });
  if ("keepAliveTimeout" in server) server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  const besides = createTcpServer({ noDelay: true, allowHalfOpen: true }, (connection) =>
    server.emit("connection", connection),
  );

  const stop = async (signal: string) => {
    log.info({ signal }, "stopping");
    setTimeout(() => exit(1), STOP_BUDGET_MS).unref();
    server.close();
    besides.close();
    await kernel.close();
    await executions.drained();
    if ("closeAllConnections" in server) setImmediate(() => server.closeAllConnections());
    await rm(runtimeDir, { recursive: true, force: true });
    if ("path" in config.listen) await rm(config.listen.path, { force: true });
    exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.once(signal, () => void stop(signal));
  }
  if (config.stopWithStdin) process.stdin.resume().once("close", () => void stop("end of standard input"));
  process.on("unhandledRejection", (error) => log.error({ err: error }, "a task failed unnoticed"));

  await listen(server, config.listen);
  if (config.listenAlso !== undefined) await listen(besides, config.listenAlso);
  log.info(
    { listen: config.listen, also: config.listenAlso, kernel: config.kernelName, boot_id: bootId },
    "executor listens",
  );
}

async function listen(server: ServerType | Server, where: ExecutorConfig["listen"]): Promise<void> {
  if ("path" in where) {
    await rm(where.path, { force: true });
    server.listen(where.path);
    await once(server, "listening");
    // Who may connect is decided by the socket's directory.
    await chmod(where.path, 0o777);
  } else {
    server.listen(where.port, where.host);
    await once(server, "listening");
  }
}

/** The kernel client writes to the console; its lines belong into the log, at a level that is normally off. */
function routeConsole(log: Logger): void {
  const write = (...parts: unknown[]) => log.debug({ parts: parts.map(String) }, "console");
  Object.assign(console, { debug: write, log: write, info: write, warn: write, error: write });
}

/** The process ends here and nowhere else. */
function exit(code: number): never {
  // oxlint-disable-next-line unicorn/no-process-exit -- what user code left open must not keep the server alive
  process.exit(code);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof ConfigError ? error.message : String(error)}\n`);
  exit(error instanceof ConfigError ? BAD_CONFIG_EXIT_CODE : 1);
}
