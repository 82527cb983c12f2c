import type { Logger } from "pino";
import type { CodeInfo, KernelState, SessionEnv } from "#contract/executor-api.ts";
import { KernelBoot, type KernelBootOptions } from "./kernel-boot.ts";
import { describeExit } from "./kernel-process.ts";
import { KernelLifecycle } from "./kernel-state.ts";
import type { KernelEnding, LiveKernel } from "./live-kernel.ts";
import { Remains } from "./remains.ts";
import { untilAborted } from "./until-aborted.ts";
import { WorkingDir } from "./working-dir.ts";

export interface KernelOptions extends KernelBootOptions {
  /** Undefined for a temporary folder. */
  workingDir: string | undefined;
  /** The user of kernels where that is not the server's: everything that is this user's goes with a restart. */
  kernelUser: { uid: number; gid: number } | undefined;
}

/** What a kernel is started for: the first time, on request, or because the one before it was lost. */
type StartCause = "start" | "restart" | "recovery";

/** A start that is going on. */
interface Start {
  cause: StartCause;
  ready: Promise<LiveKernel>;
  controller: AbortController;
}

/** A kernel that dies sooner after its start than this, without any code run, would do so again and again. */
const STABLE_MS = 5000;
/** How long after a kernel that did not start, or died at once, the next one is started without anybody's doing. */
const RETRY_MS = 5000;

/** The executor's one kernel, over all its starts. */
export class Kernel {
  readonly #options: KernelOptions;
  readonly #log: Logger;
  readonly #lifecycle = new KernelLifecycle();
  readonly #boot: KernelBoot;
  readonly #workingDir: WorkingDir;
  readonly #remains: Remains;
  #start: Start | undefined;
  #live: LiveKernel | undefined;
  #id: string | null = null;
  #stateLost = false;
  #provenAt = 0;
  #restarts = 0;
  #tenancy = 0;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;
  /** What kernels have on top of the executor's environment. */
  #sessionEnv: SessionEnv = {};

  constructor(options: KernelOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#boot = new KernelBoot(options);
    this.#workingDir = new WorkingDir(options.workingDir, options.runtimeDir, options.log);
    this.#remains = new Remains(options.kernelUser, options.workingDir);
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
    return this.#start !== undefined && this.#start.cause !== "start";
  }

  /** How often the kernel was started again. */
  get restarts(): number {
    return this.#restarts;
  }

  /** How often a clean kernel was asked for: what was accepted for the kernel before it must not run any more. */
  get tenancy(): number {
    return this.#tenancy;
  }

  /** Whether the executor stops: there will be no kernel any more. */
  get closed(): boolean {
    return this.#closed;
  }

  get codeInfo(): CodeInfo {
    return this.#boot.loader.info;
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
      const start = this.#start ?? this.#begin("recovery");
      try {
        return await untilAborted(start.ready, signal);
      } catch (error) {
        // Another start has taken over: that one counts.
        if (!start.controller.signal.aborted) throw error;
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
    this.#provenAt = 0;
    this.#lifecycle.change("busy");
  }

  /** The cell is over and the kernel idle. */
  release(live: LiveKernel): void {
    if (this.#live === live) this.#lifecycle.change("idle");
  }

  /**
   * Starts a clean kernel on request. With `sessionEnv`, it and those after it have these variables, until a restart
   * names others: no start that goes on already is good enough then.
   */
  restart(sessionEnv?: SessionEnv): "restarting" | "already_restarting" {
    const underWay = this.#start !== undefined && this.#start.cause !== "recovery";
    if (this.#closed || (underWay && sessionEnv === undefined)) return "already_restarting";
    if (sessionEnv !== undefined) this.#sessionEnv = sessionEnv;
    this.#stateLost = false;
    this.#tenancy += 1;
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
    clearTimeout(this.#retry);
    const start = this.#start;
    start?.controller.abort(new Error("The executor stops"));
    await this.#live?.end("closed");
    await start?.ready.catch(() => {});
    await this.#options.launcher.close();
  }

  #begin(cause: StartCause): Start {
    clearTimeout(this.#retry);
    const last = { start: this.#start, live: this.#live };
    last.start?.controller.abort(new Error("Another start takes over"));
    this.#live = undefined;
    if (cause !== "start") {
      this.#restarts += 1;
      this.#lifecycle.change("restarting");
    }
    const controller = new AbortController();
    const ready = (async () => {
      await Promise.allSettled([last.live?.end("replaced"), last.start?.ready]);
      await this.#remains.endProcesses();
      if (cause !== "recovery") this.#remains.expectFiles();
      await this.#remains.removeFiles();
      await last.live?.assertEnded();
      return await this.#run(cause, controller.signal);
    })();
    const start: Start = { cause, ready, controller };
    this.#start = start;
    ready.catch((error: unknown) => {
      if (this.#start !== start) return;
      this.#start = undefined;
      if (this.#closed) return;
      this.#log.error({ err: error }, "the kernel did not start");
      this.#die(`kernel_start_failed: ${error instanceof Error ? error.message : String(error)}`);
    });
    return start;
  }

  async #run(cause: StartCause, signal: AbortSignal): Promise<LiveKernel> {
    const begun = performance.now();
    const live = await this.#boot.run({
      workingDir: await this.#workingDir.prepare({ fresh: cause !== "recovery" }),
      sessionEnv: this.#sessionEnv,
      signal,
      starting: (id) => (this.#id = id),
      loading: () => this.#lifecycle.change("loading"),
      startingAgain: () => this.#lifecycle.change("restarting"),
    });
    if (signal.aborted) {
      await live.end("replaced");
      signal.throwIfAborted();
    }
    this.#lifecycle.change("idle");
    this.#live = live;
    this.#start = undefined;
    this.#provenAt = performance.now() + STABLE_MS;
    void live.ended.then((ending) => this.#lost(live, ending));
    const ms = Math.round(performance.now() - begun);
    this.#log.info({ kernel: live.id, cause, ms }, "kernel ready");
    return live;
  }

  #lost(live: LiveKernel, ending: KernelEnding): void {
    if (this.#closed || this.#live !== live || ending.cause !== "died") return;
    const how = ending.oomKilled ? "killed by the memory limit" : describeExit(ending.exit);
    this.#log.warn({ kernel: live.id, how }, "the kernel died");
    this.#stateLost = true;
    if (performance.now() >= this.#provenAt) {
      this.#begin("recovery");
    } else {
      // Nothing ran on it: the next one may do the same, and is not started at once.
      this.#live = undefined;
      this.#die(`kernel_died: ${how}, soon after its start`);
    }
  }

  /** There is no kernel until the next execution asks for one, or until the cause may have gone. */
  #die(reason: string): void {
    this.#lifecycle.die(reason);
    this.#retry = setTimeout(() => this.#begin("recovery"), RETRY_MS);
  }
}
