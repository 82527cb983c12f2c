import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import { z } from "zod";
import { parseJson } from "#contract/json.ts";
import { offerEnvironment } from "./environment-socket.ts";
import {
  signalGroup,
  type KernelExit,
  type KernelLauncher,
  type KernelProcess,
  type StartOptions,
} from "./kernel-process.ts";

/** A name as short as those of the kernel's own sockets: their paths are known to be short enough. */
const ENVIRONMENT_SOCKET = "env";
const HOST_SCRIPT = fileURLToPath(new URL("./kernel-host.py", import.meta.url));
/** The descriptor on which the host reports; standard output belongs to the kernels. */
const REPORT_FD = 3;
const STOP_BUDGET_MS = 2000;
/** A host that has not forked by then, its own start included, never will: somebody stopped it. */
const FORK_BUDGET_MS = 30_000;

const reportSchema = z.union([
  z.object({ started: z.object({ id: z.string(), pid: z.number().int().min(2) }) }),
  z.object({ refused: z.object({ id: z.string(), error: z.string() }) }),
  z.object({
    exited: z.object({
      id: z.string(),
      code: z.number().nullable(),
      signal: z
        .custom<NodeJS.Signals>((value) => typeof value === "string" && value.startsWith("SIG"))
        .nullable(),
    }),
  }),
  z.object({ failed: z.object({ error: z.string() }) }),
]);

interface HostedKernel {
  started: PromiseWithResolvers<KernelProcess>;
  exited: PromiseWithResolvers<KernelExit>;
  pid: number | undefined;
}

export interface KernelHostOptions {
  python: string;
  env: Record<string, string>;
  user: { uid: number; gid: number } | undefined;
  /** Longest text that a kernel puts into one message. */
  maxTextLength: number;
  log: Logger;
}

/**
 * Python kernels, forked from one Python process that has imported everything already (`kernel-host.py`). The process
 * is started on first use, and again when it is gone.
 */
export class KernelHost implements KernelLauncher {
  readonly transport = "ipc";
  readonly interruptMode = "signal";
  readonly resultMayBeLate = false;
  readonly #options: KernelHostOptions;
  readonly #kernels = new Map<string, HostedKernel>();
  #process: ChildProcess | undefined;
  #failure: string | undefined;

  constructor(options: KernelHostOptions) {
    this.#options = options;
  }

  /** Starts the host ahead of the first kernel, so that its imports overlap with other work. */
  warmUp(): void {
    this.#process ??= this.#spawn();
  }

  async start({ id, connectionFile, workingDir, sessionEnv }: StartOptions): Promise<KernelProcess> {
    const environmentSocket = join(dirname(connectionFile), ENVIRONMENT_SOCKET);
    // Not over the host's standard input: its memory is copied into every kernel, the next tenant's, too.
    const offer = await offerEnvironment(environmentSocket, sessionEnv);
    const host = (this.#process ??= this.#spawn());
    const kernel: HostedKernel = {
      started: Promise.withResolvers(),
      exited: Promise.withResolvers(),
      pid: undefined,
    };
    this.#kernels.set(id, kernel);
    const start = {
      id,
      connection_file: connectionFile,
      environment_socket: environmentSocket,
      working_dir: workingDir,
      max_text_length: this.#options.maxTextLength,
      user: this.#options.user ?? null,
    };
    host.stdin?.write(`${JSON.stringify({ start })}\n`);
    const timer = setTimeout(() => host.kill("SIGKILL"), FORK_BUDGET_MS);
    try {
      const started = await kernel.started.promise;
      void started.exited.then(() => offer.close());
      return started;
    } catch (error) {
      offer.close();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    const host = this.#process;
    if (host === undefined || host.exitCode !== null || host.signalCode !== null) return;
    const exited = once(host, "exit");
    const timer = setTimeout(() => host.kill("SIGKILL"), STOP_BUDGET_MS);
    // The end of its input tells the host to kill its kernels and go.
    host.stdin?.end();
    await exited;
    clearTimeout(timer);
  }

  #spawn(): ChildProcess {
    const { python, env, user, log } = this.#options;
    this.#failure = undefined;
    // What the user of the kernels installed in a home of theirs must not run as the server's user.
    const args = user === undefined ? [HOST_SCRIPT] : ["-s", HOST_SCRIPT];
    const host = spawn(python, args, {
      env,
      // Whatever a kernel writes past its captured output goes where the server's log goes.
      stdio: ["pipe", 2, 2, "pipe"],
    });
    host.on("error", (error) => this.#gone(host, `${python} did not start: ${error.message}`));
    host.on("exit", (code, signal) =>
      this.#gone(host, this.#failure ?? `the kernel host ended (${signal ?? `exit code ${code}`})`),
    );
    host.stdin?.on("error", (error) =>
      log.debug({ err: error }, "the kernel host takes no commands any more"),
    );
    const reports = host.stdio[REPORT_FD];
    if (reports && "readable" in reports) {
      createInterface({ input: reports }).on("line", (line) => this.#report(line));
    }
    return host;
  }

  #report(line: string): void {
    const parsed = reportSchema.safeParse(parseJson(line));
    if (!parsed.success) {
      this.#options.log.warn({ line }, "the kernel host reported something unknown");
      return;
    }
    const report = parsed.data;
    if ("failed" in report) {
      this.#failure = report.failed.error;
    } else if ("refused" in report) {
      this.#kernels.get(report.refused.id)?.started.reject(new Error(report.refused.error));
      this.#kernels.delete(report.refused.id);
    } else if ("started" in report) {
      const kernel = this.#kernels.get(report.started.id);
      if (kernel === undefined) return;
      kernel.pid = report.started.pid;
      kernel.started.resolve({ pid: kernel.pid, exited: kernel.exited.promise });
    } else {
      const { id, code, signal } = report.exited;
      this.#kernels.get(id)?.exited.resolve({ code, signal });
      this.#kernels.delete(id);
    }
  }

  /** The host is gone, and with it the only one that could tell how its kernels end: they end with it. */
  #gone(host: ChildProcess, reason: string): void {
    if (this.#process !== host) return;
    this.#process = undefined;
    for (const kernel of this.#kernels.values()) {
      if (kernel.pid === undefined) {
        kernel.started.reject(new Error(reason));
      } else {
        signalGroup(kernel.pid, "SIGKILL");
        kernel.exited.resolve({ code: null, signal: "SIGKILL" });
      }
    }
    this.#kernels.clear();
  }
}
