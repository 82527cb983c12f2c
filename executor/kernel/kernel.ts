import { randomUUID } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import type { CodeInfo, KernelState } from "#contract/executor-api.ts";
import { CodeLoader } from "./code-loader.ts";
import { describeExit, type KernelLauncher } from "./kernel-process.ts";
import { KernelLifecycle } from "./kernel-state.ts";
import { LiveKernel, type KernelEnding } from "./live-kernel.ts";
import type { MemoryGroup } from "./memory.ts";

export interface KernelOptions {
  name: string;
  launcher: KernelLauncher;
  runtimeDir: string;
  /** Undefined for a temporary folder, which is a new one after every restart on request. */
  workingDir: string | undefined;
  workspaceFolder: string;
  codeLoadingTimeoutMs: number;
  maxOutputBytes: number;
  memory: MemoryGroup;
  log: Logger;
}

/** What a kernel is started for: the first time, on request, or because the one before it was lost. */
type BootCause = "start" | "restart" | "recovery";

interface Boot {
  cause: BootCause;
  ready: Promise<LiveKernel>;
  controller: AbortController;
}

const START_TIMEOUT_MS = 60_000;
/** A message that is longer breaks the connection on its channel instead of this process. */
const MESSAGE_PER_OUTPUT = 8;
const MIN_MESSAGE_BYTES = 64 * 1024 * 1024;
/** A kernel that was lost sooner after its start than this, without any code run, is not replaced by itself. */
const STABLE_MS = 5000;

/** The executor's one kernel, over all its starts. */
export class Kernel {
  readonly #options: KernelOptions;
  readonly #lifecycle = new KernelLifecycle();
  readonly #loader: CodeLoader;
  #boot: Boot | undefined;
  #live: LiveKernel | undefined;
  #id: string | null = null;
  #workingDir: string | undefined;
  #stateLost = false;
  #unstable = false;
  #restarts = 0;
  #closed = false;

  constructor(options: KernelOptions) {
    this.#options = options;
    this.#loader = new CodeLoader({
      folder: options.workspaceFolder,
      timeoutMs: options.codeLoadingTimeoutMs,
      log: options.log,
    });
  }

  /** Id of the kernel that runs or starts; it changes with every start. */
  get id(): string | null {
    return this.#id;
  }

  get name(): string {
    return this.#options.name;
  }

  get state(): KernelState {
    return this.#lifecycle.state;
  }

  /** Why the kernel takes no code just now; undefined when it does. */
  get reason(): string | undefined {
    return this.#lifecycle.reason;
  }

  get restarting(): boolean {
    return this.#boot !== undefined && this.#boot.cause !== "start";
  }

  /** How often the kernel was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  get codeInfo(): CodeInfo {
    return this.#loader.info;
  }

  /** Begins the first start. */
  start(): void {
    this.#begin("start");
  }

  /**
   * Waits until the kernel takes code. A dead kernel is started again.
   *
   * @throws {Error} that says why there is no kernel, or the reason of `signal`.
   */
  async whenReady({ signal }: { signal: AbortSignal }): Promise<LiveKernel> {
    for (;;) {
      signal.throwIfAborted();
      if (this.#live !== undefined) return this.#live;
      if (this.#closed) throw new Error("The executor stops");
      const boot = this.#boot ?? this.#begin("recovery");
      try {
        return await untilAborted(boot.ready, signal);
      } catch (error) {
        if (!boot.controller.signal.aborted) throw error;
      }
    }
  }

  /** Whether the state of earlier executions was lost since this was asked last. */
  takeStateLost(): boolean {
    const lost = this.#stateLost;
    this.#stateLost = false;
    return lost;
  }

  /** A cell begins on the kernel. */
  occupy(live: LiveKernel): void {
    if (this.#live !== live) return;
    this.#unstable = false;
    this.#lifecycle.change("busy");
  }

  /** The cell is over and the kernel idle. */
  release(live: LiveKernel): void {
    if (this.#live === live) this.#lifecycle.change("idle");
  }

  /** Starts a clean kernel on request. */
  restart(): "restarting" | "already_restarting" {
    if (this.#boot !== undefined && this.#boot.cause !== "recovery") return "already_restarting";
    this.#stateLost = false;
    this.#begin("restart");
    return "restarting";
  }

  /** Gives up a kernel whose cell cannot be stopped otherwise; a fresh one is started. */
  replace(live: LiveKernel): void {
    if (this.#live !== live) return;
    this.#stateLost = true;
    this.#begin("recovery");
  }

  /** Ends the kernel for good. */
  async close(): Promise<void> {
    this.#closed = true;
    const boot = this.#boot;
    boot?.controller.abort(new Error("The executor stops"));
    await this.#live?.end("closed");
    await boot?.ready.catch(() => {});
    await this.#options.launcher.close();
  }

  #begin(cause: BootCause): Boot {
    const { log } = this.#options;
    const previousBoot = this.#boot;
    const previous = this.#live;
    previousBoot?.controller.abort(new Error("Another start takes over"));
    this.#live = undefined;
    if (cause !== "start") {
      this.#restarts += 1;
      this.#lifecycle.change("restarting");
    }
    const controller = new AbortController();
    const ready = (async () => {
      await Promise.allSettled([previous?.end("replaced"), previousBoot?.ready]);
      return await this.#run(cause, controller.signal);
    })();
    const boot: Boot = { cause, ready, controller };
    this.#boot = boot;
    ready.catch((error: unknown) => {
      if (this.#boot !== boot) return;
      this.#boot = undefined;
      if (this.#closed) return;
      log.error({ err: error }, "the kernel did not start");
      this.#lifecycle.die(`kernel_start_failed: ${error instanceof Error ? error.message : String(error)}`);
    });
    return boot;
  }

  async #run(cause: BootCause, signal: AbortSignal): Promise<LiveKernel> {
    const { log } = this.#options;
    const begun = performance.now();
    const workingDir = await this.#prepareWorkingDir(cause);
    this.#loader.reset();
    for (;;) {
      signal.throwIfAborted();
      const live = await this.#startOne(workingDir, signal);
      this.#lifecycle.change("loading");
      let loaded: boolean;
      try {
        loaded = await this.#loader.load(live, { signal });
      } catch (error) {
        await live.end("replaced");
        throw error;
      }
      if (!loaded) {
        // A file took the kernel with it; the next kernel loads the others.
        await live.end("replaced");
        this.#lifecycle.change("restarting");
        continue;
      }
      this.#lifecycle.change("idle");
      this.#live = live;
      this.#boot = undefined;
      this.#unstable = true;
      setTimeout(() => (this.#unstable = this.#live === live ? false : this.#unstable), STABLE_MS).unref();
      void live.ended.then((ending) => this.#lost(live, ending));
      log.info({ kernel: live.id, cause, ms: Math.round(performance.now() - begun) }, "kernel ready");
      return live;
    }
  }

  async #startOne(workingDir: string, signal: AbortSignal): Promise<LiveKernel> {
    const { name, launcher, runtimeDir, maxOutputBytes, memory, log } = this.#options;
    const maxMessageBytes = Math.max(MIN_MESSAGE_BYTES, MESSAGE_PER_OUTPUT * maxOutputBytes);
    const id = randomUUID();
    this.#id = id;
    const timeout = AbortSignal.timeout(START_TIMEOUT_MS);
    try {
      return await LiveKernel.start(
        { id, name, launcher, runtimeDir, workingDir, maxMessageBytes, memory, log },
        { signal: AbortSignal.any([signal, timeout]) },
      );
    } catch (error) {
      if (!timeout.aborted || signal.aborted) throw error;
      throw new Error(`The kernel did not answer within ${START_TIMEOUT_MS / 1000} seconds`, {
        cause: error,
      });
    }
  }

  /** Every tenant begins in an empty folder, unless the executor was given one to use. */
  async #prepareWorkingDir(cause: BootCause): Promise<string> {
    if (this.#options.workingDir !== undefined) return this.#options.workingDir;
    if (this.#workingDir !== undefined && cause === "recovery") return this.#workingDir;
    if (this.#workingDir !== undefined) {
      await rm(this.#workingDir, { recursive: true, force: true }).catch((error: unknown) =>
        this.#options.log.error({ err: error }, "files of the last working directory stay behind"),
      );
    }
    this.#workingDir = join(this.#options.runtimeDir, `work-${this.#restarts}`);
    await mkdir(this.#workingDir, { mode: 0o770 });
    return this.#workingDir;
  }

  #lost(live: LiveKernel, ending: KernelEnding): void {
    if (this.#live !== live || ending.cause !== "died") return;
    const how = ending.oomKilled ? "killed by the memory limit" : describeExit(ending.exit);
    this.#options.log.warn({ kernel: live.id, how }, "the kernel died");
    this.#stateLost = true;
    if (this.#unstable) {
      this.#live = undefined;
      this.#lifecycle.die(`kernel_died: ${how}, soon after its start`);
    } else {
      this.#begin("recovery");
    }
  }
}

/** The promise's result, unless `signal` aborts first. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
