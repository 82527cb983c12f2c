import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SessionApi } from "./session-api.ts";
import { until } from "./until.ts";

const PROGRAM = fileURLToPath(new URL("../../manager/main.ts", import.meta.url));

/** What a manager is that comes and goes over executors that stay: their places and a data directory. */
export class ManagerPlace implements AsyncDisposable {
  readonly dataDir: string;
  readonly #folder: string;
  readonly #processes: ManagerProcess[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
    this.dataDir = join(folder, "data");
  }

  /** `urls` are those of its executors, by their number. */
  static async make(urls: readonly string[]): Promise<ManagerPlace> {
    const folder = await mkdtemp(join(tmpdir(), "fleet-place-"));
    await writeFile(join(folder, "container_config.json"), JSON.stringify(urls));
    return new ManagerPlace(folder);
  }

  /** Writes a file into the folder in which managers run. */
  async write(name: string, text: string): Promise<void> {
    await writeFile(join(this.#folder, name), text);
  }

  /** Starts a manager, and waits for nothing. */
  launch(env: Record<string, string> = {}): ManagerProcess {
    const given = {
      FLEET_PORT: "0",
      FLEET_DATA_DIR: this.dataDir,
      CONTAINER_CONFIG_FILE: "container_config.json",
      ...env,
    };
    const child = spawn(process.execPath, [PROGRAM], {
      cwd: this.#folder,
      env: given,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const manager = new ManagerProcess(child);
    this.#processes.push(manager);
    return manager;
  }

  /** Starts a manager; resolves when it serves. */
  async start(env: Record<string, string> = {}): Promise<{ manager: ManagerProcess; api: SessionApi }> {
    const manager = this.launch(env);
    return { manager, api: new SessionApi(await manager.url()) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((one) => one.end("SIGKILL")));
    await rm(this.#folder, { recursive: true });
  }
}

/** A manager in a process of its own. */
export class ManagerProcess {
  log = "";
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#closed = once(child, "close");
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.log += text));
  }

  /** Waits until it serves. */
  url(): Promise<string> {
    return until("the manager serves", () => {
      if (this.#child.exitCode !== null) throw new Error(`the manager has ended:\n${this.log}`);
      return /"url":"(http:[^"]+)"/.exec(this.log)?.[1];
    });
  }

  /** Waits until it has ended by itself; tells its exit code. */
  async ended(): Promise<number | null> {
    await this.#closed;
    return this.#child.exitCode;
  }

  /** Ends it by a signal, and waits until it is gone. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<number | null> {
    this.#child.kill(signal);
    return await this.ended();
  }
}
