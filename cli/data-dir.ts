import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, isAbsolute, join, resolve } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { projectName } from "#compose/project-name.ts";
import { CliError } from "./cli-error.ts";
import { ExclusiveLock } from "./exclusive-lock.ts";
import type { Environment } from "./cli-context.ts";

/** What a running fleet tells of itself to other commands. */
const stateSchema = z.object({
  pid: z.int().positive(),
  backend: z.string().optional(),
  /** Where this machine reaches its manager; absent until it serves. */
  url: z.string().optional(),
});
export type FleetState = z.infer<typeof stateSchema>;

/** A fleet that stops a moment after it was asked to is waited for, rather than complained about. */
const HOLD_PATIENCE_MS = 500;

/** The folder that one fleet keeps on disk: its lock, its state, its logs. */
export class DataDir {
  readonly path: string;

  constructor(path: string) {
    this.path = resolve(path);
  }

  /** The folder that a flag or FLEET_DATA_DIR names, else the default one. Source: XDG Base Directory Specification. */
  static choose(flag: string | undefined, env: Environment): DataDir {
    const named = flag ?? env["FLEET_DATA_DIR"];
    if (named) return new DataDir(named);
    const xdg = env["XDG_STATE_HOME"];
    const base = xdg && isAbsolute(xdg) ? xdg : join(homedir(), ".local", "state");
    return new DataDir(join(base, "executor-fleet", "default"));
  }

  get lockFile(): string {
    return join(this.path, "lock");
  }

  get #stateFile(): string {
    return join(this.path, "fleet.json");
  }

  get logDir(): string {
    return join(this.path, "logs");
  }

  get managerLog(): string {
    return join(this.logDir, "manager.log");
  }

  /** What a fleet in the background prints, among it the trace of a crash. */
  get consoleLog(): string {
    return join(this.path, "console.log");
  }

  /** Name of the fleet: of its folder, with a hash of the whole path, since others may have a folder of that name. */
  get fleetName(): string {
    const hash = createHash("sha256").update(this.path).digest("hex").slice(0, 8);
    return `${projectName(basename(this.path), "")}-${hash}`;
  }

  /**
   * Claims the folder for this process until the lock is disposed of.
   *
   * @throws {CliError} when another fleet holds it
   */
  async hold(): Promise<Disposable> {
    await mkdir(this.path, { recursive: true, mode: 0o700 });
    const patience = AbortSignal.timeout(HOLD_PATIENCE_MS);
    try {
      const lock = await ExclusiveLock.take(this.lockFile, { signal: patience });
      // A fleet that was killed left its state here, whose pid may be anybody's by now.
      await this.removeState();
      return lock;
    } catch (error) {
      if (!patience.aborted) throw error;
      const state = await this.readState();
      const who = state ? ` (pid ${state.pid}${state.url ? `, ${state.url}` : ""})` : "";
      throw new CliError(
        `a fleet runs in ${this.path} already${who}: end it first, or use another --data-dir`,
        { cause: error },
      );
    }
  }

  /** What the fleet last told; undefined where none runs, unless one was killed. */
  async readState(): Promise<FleetState | undefined> {
    const text = await readFile(this.#stateFile, "utf8").catch(() => "");
    return text === "" ? undefined : stateSchema.parse(JSON.parse(text));
  }

  async writeState(state: FleetState): Promise<void> {
    await writeFileAtomic(this.#stateFile, `${JSON.stringify(state)}\n`);
  }

  async removeState(): Promise<void> {
    await rm(this.#stateFile, { force: true });
  }

  /** Begins new logs; those of the last fleet are kept beside them, so that they take the room of two runs at most. */
  async rotateLogs(): Promise<void> {
    const previous = `${this.logDir}.previous`;
    await rm(previous, { recursive: true, force: true });
    await rename(this.logDir, previous).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
    await mkdir(this.logDir, { recursive: true });
  }

  /** A secret of this fleet that outlives its process. */
  async secret(): Promise<string> {
    const file = join(this.path, "secret");
    const known = await readFile(file, "utf8").catch(() => "");
    if (known !== "") return known;
    const secret = randomBytes(32).toString("hex");
    await writeFile(file, secret, { mode: 0o600 });
    return secret;
  }
}
