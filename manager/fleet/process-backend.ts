import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { executorDigits } from "#compose/fleet-spec.ts";
import { executorNumberSchema, type ExecutorNumber } from "#contract/ids.ts";
import type { Backend } from "./backend.ts";
import type { ExecutorSpec } from "./executor.ts";

export interface ProcessBackendSettings {
  /** The type of each executor, in the order of their numbers. */
  types: readonly string[];
  /** Command line that starts one executor. */
  command: readonly string[];
  /** Environment of every executor, and what a type adds to it. */
  env: Readonly<Record<string, string>>;
  envOfType: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Directory of each executor for what user code hands in, by number. */
  submissionDirectories?: readonly string[];
  /** Folder for one log file per executor. */
  logDir: string;
}

/** The file in a log folder to which one executor writes. */
export function executorLogFile(logDir: string, number: number): string {
  return join(logDir, `executor-${executorDigits(number)}.log`);
}

const MIN_RESTART_DELAY_MS = 200;
const MAX_RESTART_DELAY_MS = 10_000;
/** An executor that lived this long is started again without delay. */
const STABLE_AFTER_MS = 30_000;
const STOP_BUDGET_MS = 5_000;

/** Executors as processes of this machine. */
export class ProcessBackend implements Backend {
  readonly name = "process";
  readonly warnings = [
    "Executors run as plain processes: user code has the rights of the user who started the fleet. " +
      "Use Docker for code that you do not trust.",
  ];
  readonly #settings: ProcessBackendSettings;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  #socketDir: string | undefined;
  #supervisors: Promise<void>[] = [];
  readonly #running = new Map<ExecutorNumber, ChildProcess>();

  constructor(settings: ProcessBackendSettings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
  }

  async start(onLost: (number: ExecutorNumber, reason: string) => void): Promise<ExecutorSpec[]> {
    await mkdir(this.#settings.logDir, { recursive: true });
    // A short path: the name of a Unix socket may have about 100 characters.
    const socketDir = await mkdtemp(join(tmpdir(), "fleet-"));
    this.#socketDir = socketDir;
    const specs = this.#settings.types.map((type, index) => ({
      number: executorNumberSchema.parse(index),
      type,
      url: `unix:${join(socketDir, `${index}.sock`)}`,
      token: randomBytes(24).toString("hex"),
    }));
    this.#supervisors = specs.map((spec) => this.#supervise(spec, (reason) => onLost(spec.number, reason)));
    return specs;
  }

  /** Kills the process; its supervisor starts it again. */
  async restart(number: ExecutorNumber): Promise<void> {
    this.#running.get(number)?.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#supervisors);
    if (this.#socketDir !== undefined) await rm(this.#socketDir, { recursive: true, force: true });
  }

  /** Starts an executor again whenever it ends, slower and slower if it does not stay alive. */
  async #supervise(spec: ExecutorSpec & { token: string }, onLost: (reason: string) => void): Promise<void> {
    const { signal } = this.#stop;
    let delayMs = MIN_RESTART_DELAY_MS;
    while (!signal.aborted) {
      const startedAt = performance.now();
      const reason = await this.#runOnce(spec).catch(
        (error: unknown) => `could not be started: ${String(error)}`,
      );
      if (signal.aborted) return;
      this.#log.error({ executor: spec.number, reason }, "executor ended");
      onLost(reason);
      delayMs = performance.now() - startedAt > STABLE_AFTER_MS ? MIN_RESTART_DELAY_MS : delayMs * 2;
      await delay(Math.min(delayMs, MAX_RESTART_DELAY_MS), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Runs one executor until it ends, and tells how it did. */
  async #runOnce({ number, type, url, token }: ExecutorSpec & { token: string }): Promise<string> {
    const { command, env, envOfType, submissionDirectories, logDir } = this.#settings;
    const submissionDirectory = submissionDirectories?.[number];
    const [program, ...args] = command;
    if (program === undefined) throw new Error("the command of an executor is empty");
    await using logFile = await open(executorLogFile(logDir, number), "a");
    const child = spawn(program, args, {
      env: {
        ...env,
        ...envOfType[type],
        ...(submissionDirectory === undefined ? {} : { SUBMISSION_DIR: submissionDirectory }),
        EXECUTOR_SOCKET: url.slice("unix:".length),
        EXECUTOR_TOKEN: token,
        // It ends with this process, also when that is killed.
        EXECUTOR_STOP_WITH_STDIN: "1",
      },
      // A group of its own: Ctrl-C at the terminal is the manager's, which lets what runs come to its end.
      detached: true,
      stdio: ["pipe", logFile.fd, logFile.fd],
    });
    this.#running.set(number, child);
    const stop = () => void stopChild(child);
    this.#stop.signal.addEventListener("abort", stop, { once: true });
    try {
      const [code, signal] = await once(child, "exit");
      return signal === null
        ? `the process ended with exit code ${code}`
        : `the process was ended by ${signal}`;
    } finally {
      this.#running.delete(number);
      this.#stop.signal.removeEventListener("abort", stop);
    }
  }
}

/** Asks a child to end, and ends it when it has not within the budget. */
async function stopChild(child: ChildProcess): Promise<void> {
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_BUDGET_MS);
  await once(child, "exit");
  clearTimeout(timer);
}
