import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { KernelMessage } from "@jupyterlab/services";
import { KernelConnection } from "@jupyterlab/services/lib/kernel/default.js";
import { createMessage } from "@jupyterlab/services/lib/kernel/messages.js";
import type { Logger } from "pino";
import type { SessionEnv } from "#contract/executor-api.ts";
import { writeConnectionFile } from "./connection-file.ts";
import {
  describeExit,
  signalGroup,
  type KernelExit,
  type KernelLauncher,
  type KernelProcess,
} from "./kernel-process.ts";
import type { MemoryGroup } from "./memory.ts";
import { untilAborted } from "./until-aborted.ts";
import { ZmqTransport } from "./zmq-transport.ts";

/** Why a kernel is no more. */
export type KernelEnding =
  | { cause: "died"; exit: KernelExit; oomKilled: boolean }
  /** Replaced on request or because a cell had to be stopped that way. */
  | { cause: "replaced" }
  /** The executor stops. */
  | { cause: "closed" };

export type ExecuteReply = KernelMessage.IExecuteReplyMsg["content"];

export interface LiveKernelOptions {
  id: string;
  name: string;
  launcher: KernelLauncher;
  /** Folder that the kernel's own folder is made in. */
  runtimeDir: string;
  workingDir: string;
  sessionEnv: SessionEnv;
  maxOutputBytes: number;
  memory: MemoryGroup;
  log: Logger;
}

/** The kernel's process ended before the kernel answered. */
export class StartError extends Error {
  override readonly name = "StartError";

  constructor(exit: KernelExit) {
    super(`The kernel ended while it started: ${describeExit(exit)}, see the executor's log`);
  }
}

/** A message that is longer breaks the connection on its channel instead of this process. */
const MESSAGE_PER_OUTPUT = 8;
const MIN_MESSAGE_BYTES = 64 * 1024 * 1024;
const KILL_BUDGET_MS = 5000;
/** After its reply, the end of a cell's output may be this late before it counts as lost. */
const IDLE_AFTER_REPLY_MS = 1000;
/** How long after its idle status a kernel's result is waited for, where it may come that late. */
const LATE_RESULT_MS = 50;
/** `exit()` in a cell ends the kernel a moment after the reply. */
const EXIT_AFTER_REPLY_MS = 2000;

/** One kernel from its start to its end: the process and the client connected to it. */
export class LiveKernel {
  readonly id: string;
  /** Resolves with the first cause of the kernel's end; never rejects. */
  readonly ended: Promise<KernelEnding>;
  readonly info: KernelMessage.IInfoReply;
  readonly #process: KernelProcess;
  readonly #connection: KernelConnection;
  readonly #transport: ZmqTransport;
  readonly #options: LiveKernelOptions;
  readonly #end = Promise.withResolvers<KernelEnding>();
  #oomKills: number;
  /** Resolves when the kernel has begun with the cell that was sent last. */
  #begun: Promise<void> = Promise.resolve();

  private constructor(
    options: LiveKernelOptions,
    parts: {
      process: KernelProcess;
      transport: ZmqTransport;
      connection: KernelConnection;
      info: KernelMessage.IInfoReply;
    },
  ) {
    this.id = options.id;
    this.info = parts.info;
    this.ended = this.#end.promise;
    this.#options = options;
    this.#process = parts.process;
    this.#connection = parts.connection;
    this.#transport = parts.transport;
    this.#oomKills = options.memory.oomKills();
    void this.#process.exited.then((exit) => this.#died(exit));
    this.#connection.iopubMessage.connect((_, message) => this.#logLate(message));
  }

  /**
   * Starts a kernel and waits until it answers.
   *
   * @throws {Error} that says why the kernel did not start, or the reason of `signal`.
   */
  static async start(options: LiveKernelOptions, { signal }: { signal: AbortSignal }): Promise<LiveKernel> {
    const { id, name, launcher, workingDir, sessionEnv, log } = options;
    const dir = folderOf(options);
    await mkdir(dir, { mode: 0o770 });
    let starting: Promise<KernelProcess> | undefined;
    let transport: ZmqTransport | undefined;
    try {
      const { info, file } = await writeConnectionFile(dir, launcher.transport, name);
      starting = launcher.start({ id, connectionFile: file, workingDir, sessionEnv });
      const started = await untilAborted(starting, signal);
      const maxMessageBytes = Math.max(MIN_MESSAGE_BYTES, MESSAGE_PER_OUTPUT * options.maxOutputBytes);
      transport = new ZmqTransport(info, { maxMessageBytes, log });
      const early = new AbortController();
      void started.exited.then((exit) => early.abort(new StartError(exit)));
      const alive = AbortSignal.any([signal, early.signal]);
      await transport.connect({ signal: alive });
      const connection = new KernelConnection({
        model: { id, name },
        serverSettings: transport.settings,
        handleComms: false,
      });
      const kernel = new LiveKernel(options, {
        process: started,
        transport,
        connection,
        info: await untilAborted(connection.info, alive),
      });
      return kernel;
    } catch (error) {
      transport?.close();
      // Also one whose process comes only after this was given up.
      void starting?.then(
        ({ pid }) => signalGroup(pid, "SIGKILL"),
        () => {},
      );
      await rm(dir, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * Runs one cell. `onMessage` gets its iopub messages in order.
   *
   * @returns the reply once the kernel is idle again, with everything on iopub seen.
   * @throws {Error} when the kernel ends first.
   */
  async execute(
    content: { code: string; silent: boolean; store_history: boolean },
    onMessage: (message: KernelMessage.IIOPubMessage) => void,
  ): Promise<ExecuteReply> {
    // The client would keep the request for a connection that never comes.
    if (this.#connection.isDisposed) throw new Error("The kernel has ended");
    this.#oomKills = this.#options.memory.oomKills();
    const request = { ...content, allow_stdin: false, stop_on_error: false };
    const future = this.#connection.requestExecute(request, false);
    using cleanup = new DisposableStack();
    cleanup.defer(() => future.dispose());
    const result = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    this.#begun = begun.promise;
    const replied = Promise.withResolvers<ExecuteReply>();
    future.onIOPub = (message) => {
      begun.resolve();
      if (message.header.msg_type === "execute_result") result.resolve();
      onMessage(message);
    };
    future.onReply = (message) => replied.resolve(message.content);
    const done = future.done.then((message) => message.content);
    const reply = await Promise.race([done, this.#idleLost(replied.promise)]);
    if (this.#options.launcher.resultMayBeLate && reply.status === "ok")
      await this.#lateResult(result.promise);
    if (asksToExit(reply)) {
      const ended = await Promise.race([this.ended, sleep(EXIT_AFTER_REPLY_MS, undefined, { ref: false })]);
      if (ended !== undefined) throw new Error("The cell ended its kernel");
    }
    return reply;
  }

  /**
   * Interrupts the running cell, in the way that the kernel's spec names. One that is only on its way is interrupted
   * when the kernel has it: before that, the kernel would take the signal for nothing.
   */
  interrupt(): void {
    void this.#interruptWhenBegun(this.#begun);
  }

  async #interruptWhenBegun(cell: Promise<void>): Promise<void> {
    await cell;
    if (this.#begun !== cell) return;
    if (this.#options.launcher.interruptMode === "signal") {
      signalGroup(this.#process.pid, "SIGINT");
    } else if (!this.#connection.isDisposed) {
      this.#connection.sendControlMessage(interruptRequest(this.#connection.clientId));
    }
  }

  /** Ends the kernel with everything in its process group; resolves when it is gone. */
  async end(cause: "replaced" | "closed"): Promise<void> {
    this.#end.resolve({ cause });
    this.#disconnect();
    signalGroup(this.#process.pid, "SIGKILL");
    const gone = await Promise.race([
      this.#process.exited.then(() => true),
      sleep(KILL_BUDGET_MS, false, { ref: false }),
    ]);
    if (!gone) this.#options.log.error({ pid: this.#process.pid }, "the kernel does not end");
    await this.#removeFolder();
  }

  /** @throws {Error} when the process of an ended kernel is still there, and could meet the next tenant. */
  async assertEnded(): Promise<void> {
    const gone = this.#process.exited.then(() => true);
    if (!(await Promise.race([gone, sleep(KILL_BUDGET_MS, false, { ref: false })]))) {
      throw new Error(`The last kernel, process ${this.#process.pid}, does not end`);
    }
  }

  /**
   * A flooding kernel may lose messages on the way, the last one included. A reply without it is not waited for ever:
   * once the kernel has answered something later, nothing of this cell is still to come.
   */
  async #idleLost(replied: Promise<ExecuteReply>): Promise<ExecuteReply> {
    const reply = await replied;
    await sleep(IDLE_AFTER_REPLY_MS, undefined, { ref: false });
    await this.#connection.requestKernelInfo();
    return reply;
  }

  /** Waits for a result that a kernel may send after it said that it is idle; most cells have none, and cost the wait. */
  async #lateResult(result: Promise<void>): Promise<void> {
    const waited = this.#connection
      .requestKernelInfo()
      .then(() => sleep(LATE_RESULT_MS, undefined, { ref: false }));
    await Promise.race([result, waited, this.ended]);
  }

  #died(exit: KernelExit): void {
    const oomKilled = exit.signal === "SIGKILL" && this.#options.memory.oomKills() > this.#oomKills;
    this.#end.resolve({ cause: "died", exit, oomKilled });
    this.#disconnect();
    // What the kernel forked may outlive it.
    signalGroup(this.#process.pid, "SIGKILL");
    void this.#removeFolder();
  }

  #disconnect(): void {
    this.#connection.dispose();
    this.#transport.close();
  }

  async #removeFolder(): Promise<void> {
    const folder = folderOf(this.#options);
    await rm(folder, { recursive: true, force: true }).catch((error: unknown) =>
      this.#options.log.warn({ err: error }, "the folder of a kernel stays behind"),
    );
  }

  #logLate(message: KernelMessage.IIOPubMessage): void {
    if (message.header.msg_type === "status") return;
    this.#options.log.trace({ type: message.header.msg_type }, "iopub");
  }
}

/** A short name: the path of a Unix socket has little room. */
function folderOf({ runtimeDir, id }: LiveKernelOptions): string {
  return join(runtimeDir, id.slice(0, 8));
}

function interruptRequest(session: string): KernelMessage.IInterruptRequestMsg {
  return createMessage<KernelMessage.IInterruptRequestMsg>({
    msgType: "interrupt_request",
    channel: "control",
    session,
    content: {},
  });
}

function asksToExit(reply: ExecuteReply): boolean {
  return (
    reply.status === "ok" &&
    "payload" in reply &&
    Array.isArray(reply.payload) &&
    reply.payload.some((entry) => entry["source"] === "ask_exit" && entry["keepkernel"] !== true)
  );
}
