import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { DataDir } from "#cli/data-dir.ts";
import { describeEnd, endChild, hasEnded } from "./child-process.ts";

const COMMAND = join(import.meta.dirname, "..", "dist", "fleet.js");
/** Enough to build the image of a type first. */
const START_LIMIT_MS = 600_000;
const POLL_INTERVAL_MS = 5;

/** The command `fleet up` as a user types it, with folders of its own. It may be killed and started again. */
export class FleetProcess implements AsyncDisposable {
  readonly #folder: string;
  readonly #dataDir: DataDir;
  readonly #flags: readonly string[];
  #command: ChildProcess | undefined;

  private constructor(folder: string, flags: readonly string[]) {
    this.#folder = folder;
    this.#dataDir = new DataDir(join(folder, "data"));
    this.#flags = flags;
  }

  /** One that was not started yet; `flags` are those of `fleet up`. */
  static async prepare(flags: readonly string[]): Promise<FleetProcess> {
    const folder = await mkdtemp(join(tmpdir(), "bench-"));
    await mkdir(join(folder, "tmp"));
    return new FleetProcess(folder, flags);
  }

  get pid(): number {
    return this.#command?.pid ?? 0;
  }

  /** Starts the command; 0 takes any free port. */
  async start(port = 0): Promise<void> {
    this.#command = this.#spawn(["up", "--port", String(port), ...this.#flags]);
    await once(this.#command, "spawn");
  }

  /** Kills the command, and nothing that it has started. */
  async kill(): Promise<void> {
    if (!this.#command || hasEnded(this.#command)) return;
    const exited = once(this.#command, "exit");
    this.#command.kill("SIGKILL");
    await exited;
  }

  /** Where the manager serves, once it does. */
  url(signal: AbortSignal): Promise<string> {
    return this.until(async () => (await this.#dataDir.readState())?.url, signal);
  }

  /**
   * Asks again and again while the command runs, until there is an answer. A question that fails has none yet.
   *
   * @throws {Error} when the command ends; or the signal's reason
   */
  async until<T>(ask: () => Promise<T | undefined>, signal: AbortSignal): Promise<T> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(START_LIMIT_MS)]);
    for (;;) {
      const answer = await ask().catch(() => undefined);
      if (answer !== undefined) return answer;
      if (this.#command && hasEnded(this.#command))
        throw new Error(`fleet up ended with ${describeEnd(this.#command)}`);
      bounded.throwIfAborted();
      await delay(POLL_INTERVAL_MS, undefined, { signal: bounded });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#command) {
      await endChild(this.#command);
      // Of one that was killed everything else is left.
      const down = this.#spawn(["down"]);
      await once(down, "exit");
      if (down.exitCode !== 0)
        throw new Error(`fleet down ended with ${describeEnd(down)}: see ${this.#folder}`);
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  #spawn(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [COMMAND, ...args, "--data-dir", this.#dataDir.path], {
      env: { ...process.env, TMPDIR: join(this.#folder, "tmp") },
      stdio: ["ignore", "ignore", "inherit"],
      // Ctrl-C at the terminal reaches the benchmark alone, which ends the command.
      detached: true,
    });
  }
}
