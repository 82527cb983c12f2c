import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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
const GROUP_UMASK = 0o002;
/** What is made in such a folder belongs to the folder's group. */
const SHARED_DIR_MODE = 0o2750;
/** Longer than any client of a pool keeps an idle connection, so that none is closed under a request. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
const STOP_BUDGET_MS = 5000;
/** How long clients may take for the replies of the executions that the stop ended. */
const REPLY_BUDGET_MS = 1000;
/** The same for an end that makes room for the next tenant: nobody is left whose replies are worth more time. */
const EXIT_BUDGET_MS = 1000;

async function main(): Promise<void> {
  // oxlint-disable-next-line node/no-process-env -- the one place where this process reads its environment
  const config = readConfig(process.env);
  // Who reads the log may be gone, or have no room for it: that is no reason to end.
  const logStream = destination(2).on("error", () => {});
  const log = pino({ level: config.logLevel, base: { name: "executor" } }, logStream);
  routeConsole(log);
  process.on("unhandledRejection", (error) => log.error({ err: error }, "a task failed unnoticed"));
  if (config.kernelUser !== undefined && config.kernelUser.uid === process.getuid?.()) {
    throw new ConfigError(
      "KERNEL_USER is the user of this process: kernels need one of their own, whose every process ends at a restart",
    );
  }
  // Before the first process is started: it and the kernels inherit this.
  if (config.kernelUser !== undefined) process.umask(GROUP_UMASK);
  const launcher = await createLauncher(config, log);
  const runtimeDir = await makeRuntimeDir(config.kernelUser);

  const memory = new MemoryGroup();
  const kernel = new Kernel({ ...config, name: config.kernelName, launcher, runtimeDir, memory, log });
  kernel.start();
  const executions = new ExecutionQueue({ kernel, memory, limits: config, log });
  const bootId = randomUUID();
  let orphaned: NodeJS.Timeout | undefined;
  const app = createApp({
    ...config,
    kernel,
    executions,
    memory,
    bootId,
    callerSeen: () => orphaned?.refresh(),
    exit: config.containerRestarts ? () => stop("a call of /exit", EXIT_BUDGET_MS) : undefined,
    log,
  });
  const server = createAdaptorServer({ fetch: app.fetch });
  if ("keepAliveTimeout" in server) server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  const besides = createTcpServer({ noDelay: true, allowHalfOpen: true }, (connection) =>
    server.emit("connection", connection),
  );

  /** Ends running executions with an outcome, lets their replies go out, and takes everything away. */
  const close = async () => {
    const replied = server.listening ? once(server, "close") : undefined;
    server.close();
    besides.close();
    await kernel.close();
    await executions.drained();
    // A connection is idle, and closed, only when its reply is out.
    const closing = setInterval(() => "closeIdleConnections" in server && server.closeIdleConnections(), 10);
    if (replied !== undefined) await Promise.race([replied, sleep(REPLY_BUDGET_MS)]);
    clearInterval(closing);
    await rm(runtimeDir, { recursive: true, force: true });
    if ("path" in config.listen) await rm(config.listen.path, { force: true });
  };
  let stopping = false;
  const stop = (cause: string, budgetMs: number) => {
    if (stopping) return;
    stopping = true;
    log.info({ cause }, "executor stops");
    setTimeout(() => exit(1), budgetMs).unref();
    void close().then(
      () => exit(0),
      (error: unknown) => {
        log.error({ err: error }, "the executor did not stop cleanly");
        exit(1);
      },
    );
  };
  const stopBySignal = (signal: NodeJS.Signals) => stop(signal, STOP_BUDGET_MS);
  process.on("SIGTERM", stopBySignal).on("SIGINT", stopBySignal);
  if (config.stopWithStdin) {
    process.stdin.resume().once("close", () => {
      log.info({ grace_ms: config.orphanGraceMs }, "standard input has ended");
      orphaned = setTimeout(() => stop("end of standard input", STOP_BUDGET_MS), config.orphanGraceMs);
    });
  }

  try {
    await listen(server, config.listen);
    if (config.listenAlso !== undefined) await listen(besides, config.listenAlso);
  } catch (error) {
    await close();
    throw error;
  }
  const { listen: where, listenAlso: also, kernelName } = config;
  log.info({ listen: where, also, kernel: kernelName, boot_id: bootId }, "executor listens");
}

/** The folder of sockets and files of server and kernels, which the group shares where they are different users. */
async function makeRuntimeDir(kernelUser: ExecutorConfig["kernelUser"]): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "executor-"));
  if (kernelUser !== undefined) {
    if (process.getgid?.() !== kernelUser.gid) await chown(dir, process.getuid?.() ?? 0, kernelUser.gid);
    await chmod(dir, SHARED_DIR_MODE);
  }
  return dir;
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
