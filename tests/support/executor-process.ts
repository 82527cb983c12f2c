import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Agent, fetch, type RequestInit, type Response } from "undici";
import { decodeNdjson, NDJSON, type ExecutionEvent } from "#contract/events.ts";
import { executeReplySchema, type ExecuteReply } from "#contract/execution.ts";
import {
  readySchema,
  verboseHealthSchema,
  type SessionEnv,
  type VerboseHealth,
} from "#contract/executor-api.ts";
import { until } from "./until.ts";

const PROJECT_DIR = join(import.meta.dirname, "..", "..");
const MAIN = join(PROJECT_DIR, "executor/main.ts");
/** What the executor logs when a promise was rejected that nobody waited for. */
const UNNOTICED = "a task failed unnoticed";
const START_LIMIT_MS = 60_000;

/** Programs that misbehave, by the name of their file. */
export const FAULTS_DIR = join(PROJECT_DIR, "test-code/faults");
/** Utility code to mount. */
export const UTILITIES_DIR = join(PROJECT_DIR, "test-code/utilities");

export interface ExecuteOptions {
  timeout?: number;
  silent?: boolean;
  store_history?: boolean;
  on_disconnect?: "interrupt" | "continue";
}

interface PostInit {
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** One executor in a process of its own, spoken to over its socket, with a folder for all that it makes. */
export class ExecutorProcess {
  readonly dir: string;
  readonly #child: ChildProcess;
  readonly #agent: Agent;
  log = "";

  private constructor(dir: string, env: Record<string, string>) {
    this.dir = dir;
    const socket = join(dir, "socket");
    this.#agent = new Agent({ connect: { socketPath: socket }, headersTimeout: 0, bodyTimeout: 0 });
    this.#child = spawn(process.execPath, [MAIN], {
      env: {
        ...process.env,
        TMPDIR: dir,
        EXECUTOR_SOCKET: socket,
        KERNEL_PYTHON: process.env["FLEET_PYTHON"] ?? join(PROJECT_DIR, ".venv/bin/python"),
        WORKSPACE_FOLDER: join(dir, "no-code"),
        EXECUTION_TIMEOUT: "30",
        ...env,
      },
      stdio: ["pipe", "ignore", "pipe"],
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.log += text));
  }

  /** Starts an executor and waits until it takes code. */
  static async start(env: Record<string, string> = {}): Promise<ExecutorProcess> {
    const executor = await ExecutorProcess.launch(env);
    try {
      await executor.untilReady();
      return executor;
    } catch (error) {
      await executor[Symbol.asyncDispose]();
      throw new Error(`the executor did not get ready:\n${executor.log}`, { cause: error });
    }
  }

  /** Starts an executor and waits for nothing. */
  static async launch(env: Record<string, string> = {}): Promise<ExecutorProcess> {
    return new ExecutorProcess(await mkdtemp(join(tmpdir(), "ex-")), env);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  request(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://executor${path}`, { ...init, dispatcher: this.#agent });
  }

  async getJson(path: string): Promise<unknown> {
    return await (await this.request(path)).json();
  }

  async postJson(path: string): Promise<unknown> {
    return await (await this.request(path, { method: "POST" })).json();
  }

  /** Restarts the kernel, with these variables. */
  async restart(env: SessionEnv): Promise<unknown> {
    const body = JSON.stringify({ env });
    return await (await this.request("/restart", { method: "POST", body })).json();
  }

  /** Lets go of its standard streams, as the end of whoever started it does. */
  abandon(): void {
    this.#child.stdin?.destroy();
    this.#child.stderr?.destroy();
  }

  async health(): Promise<VerboseHealth> {
    return verboseHealthSchema.parse(await this.getJson("/health?verbose"));
  }

  post(code: string, options: ExecuteOptions = {}, { headers, signal }: PostInit = {}): Promise<Response> {
    return this.request("/execute", {
      method: "POST",
      body: JSON.stringify({ code, ...options }),
      headers: { "content-type": "application/json", ...headers },
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async execute(code: string, options: ExecuteOptions = {}): Promise<ExecuteReply> {
    return executeReplySchema.parse(await (await this.post(code, options)).json());
  }

  /** What a run prints on standard output and error. */
  async printed(code: string, options: ExecuteOptions = {}): Promise<string> {
    const { outputs } = await this.execute(code, options);
    return outputs.map((output) => (output.type === "stream" ? output.text : "")).join("");
  }

  /** The events of a run as they come. */
  async *events(
    code: string,
    options: ExecuteOptions = {},
    signal?: AbortSignal,
  ): AsyncGenerator<ExecutionEvent> {
    const { body } = await this.post(code, options, { headers: { accept: NDJSON }, signal });
    if (body === null) throw new Error("an event stream without a body");
    yield* decodeNdjson(body);
  }

  async untilReady(): Promise<void> {
    await until(
      "the executor is ready",
      async () => {
        if (this.#child.exitCode !== null) throw new Error("the executor ended");
        // Until it listens, nobody is there to be asked.
        const ready = await this.getJson("/ready").catch(() => ({ ready: false }));
        return readySchema.parse(ready).ready || undefined;
      },
      START_LIMIT_MS,
    );
  }

  async untilState(state: VerboseHealth["kernel"]["state"]): Promise<void> {
    await until(
      `the kernel is ${state}`,
      async () => (await this.health()).kernel.state === state || undefined,
    );
  }

  /** Waits until the process has ended. */
  async ended(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "exit");
    return this.#child.exitCode;
  }

  /** Stops it as a container engine does; returns its exit code and what it left in its folder. */
  async stop(): Promise<{ exitCode: number | null; left: string[] }> {
    this.#child.kill("SIGTERM");
    const exitCode = await this.ended();
    await this.#agent.destroy();
    return { exitCode, left: await readdir(this.dir) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.dir, { recursive: true, force: true });
    if (this.log.includes(UNNOTICED))
      throw new Error(`a task of the executor failed unnoticed:\n${this.log}`);
  }
}
