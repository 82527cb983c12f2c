import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { until } from "./until.ts";

const MAIN = join(import.meta.dirname, "..", "..", "cli", "main.ts");

export interface CommandEnd {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A `fleet` command that runs in a process group of its own, as one does that was typed at a terminal. */
export class RunningCommand {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly pid: number;
  readonly ended: Promise<CommandEnd>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], env: NodeJS.ProcessEnv, input = "") {
    this.#child = spawn(process.execPath, [MAIN, ...args], {
      env,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child.stdin.end(input);
    this.pid = this.#child.pid ?? 0;
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => (this.stdout += text));
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    this.ended = this.#end();
  }

  async #end(): Promise<CommandEnd> {
    await once(this.#child, "close");
    const { exitCode, signalCode: signal } = this.#child;
    return { exitCode, signal, stdout: this.stdout, stderr: this.stderr };
  }

  /** The first match of a pattern in what the command prints on standard output. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    return await until(
      `the command prints ${pattern}`,
      () => {
        const match = pattern.exec(this.stdout);
        if (match) return match;
        if (this.#hasEnded)
          throw new Error(`the command ended without printing ${pattern}:\n${this.stdout}${this.stderr}`);
        return undefined;
      },
      30_000,
    );
  }

  /** Reads no more of its standard output, as a reader does that has seen enough. */
  stopReading(): void {
    this.#child.stdout.destroy();
  }

  /** Presses Ctrl-C again and again until the command has ended. */
  async interruptUntilEnded(): Promise<CommandEnd> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const again = setInterval(() => {
      if (this.#hasEnded) resolve(undefined);
      else this.signalGroup("SIGINT");
    }, 50);
    await promise.finally(() => clearInterval(again));
    return await this.ended;
  }

  get #hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Ends what is left of the command itself, if anything is. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Signals the whole group, as a terminal does for Ctrl-C. */
  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-this.pid, signal);
  }
}

/** Runs `fleet` commands that share a data folder and a folder for temporary files, both removed at the end. */
export class FleetCommands implements AsyncDisposable {
  readonly folder: string;
  readonly dataDir: string;
  readonly #started: RunningCommand[] = [];

  private constructor(folder: string) {
    this.folder = folder;
    this.dataDir = join(folder, "data");
  }

  static async make(): Promise<FleetCommands> {
    const folder = await mkdtemp(join(tmpdir(), "fc-"));
    await mkdir(join(folder, "tmp"));
    return new FleetCommands(folder);
  }

  start(args: readonly string[], env: NodeJS.ProcessEnv = {}, input?: string): RunningCommand {
    const settings = {
      FLEET_DATA_DIR: this.dataDir,
      TMPDIR: join(this.folder, "tmp"),
      FLEET_URL: "",
      ...env,
    };
    // As typed at a terminal, also where npm runs the tests.
    const { npm_lifecycle_event: _, ...inherited } = process.env;
    const command = new RunningCommand(args, { ...inherited, ...settings }, input);
    this.#started.push(command);
    return command;
  }

  run(args: readonly string[], env: NodeJS.ProcessEnv = {}, input?: string): Promise<CommandEnd> {
    return this.start(args, env, input).ended;
  }

  /** `fleet up` with executors as processes, on any free port. Resolves to it and its URL when it is ready. */
  async up(
    args: readonly string[] = [],
    env: NodeJS.ProcessEnv = {},
  ): Promise<{ command: RunningCommand; url: string }> {
    const command = this.start(["up", "--backend", "process", "--port", "0", ...args], env);
    const [, url = ""] = await command.printed(/^ready after .*: (http:.*)$/m);
    return { command, url };
  }

  /** What the fleet has left among the temporary files: sockets, folders of kernels. */
  async temporaryFiles(): Promise<string[]> {
    return await readdir(join(this.folder, "tmp"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(["down"]);
    // What a failed test left running must not keep the others waiting.
    for (const command of this.#started) command.kill();
    await Promise.all(this.#started.map(({ ended }) => ended));
    await rm(this.folder, { recursive: true });
  }
}

/** Every process that was started by that one or by what it started, whatever group it is in now. */
export async function descendantsOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, "utf8").catch(() => "")),
  );
  const children = lists.flatMap((list) =>
    list
      .split(" ")
      .filter((text) => text.trim() !== "")
      .map(Number),
  );
  return [...children, ...(await Promise.all(children.map(descendantsOf))).flat()];
}

/** Whether a process runs; one that has ended and was not collected yet does not. */
export async function runs(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return stat !== "" && !/\) [ZX]/.test(stat);
}
