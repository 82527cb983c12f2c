import { createHash, randomBytes } from "node:crypto";
import { access, cp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, isAbsolute, join, resolve } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { projectName } from "#compose/project-name.ts";
import { errorText } from "#contract/errors.ts";
import { CliError } from "./cli-error.ts";
import { ExclusiveLock } from "./exclusive-lock.ts";
import type { Environment } from "./cli-context.ts";
import { makeFolder } from "./make-folder.ts";

/** What a fleet tells of itself to other commands. */
const stateSchema = z.object({
  /** Of its manager; absent when that has stopped and left executors behind. */
  pid: z.int().positive().optional(),
  /** What runs its executors, so that they can be found also without a manager. */
  backend: z.enum(["process", "docker"]).optional(),
  /** Where this machine reaches its manager; absent until it serves. */
  url: z.string().optional(),
});
export type FleetState = z.infer<typeof stateSchema>;

/** A fleet that stops a moment after it was asked to is waited for, rather than complained about. */
const HOLD_PATIENCE_MS = 500;

/** The folder that one fleet keeps on disk: its lock, its state, its logs, its sessions. */
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

  get #secretFile(): string {
    return join(this.path, "secret");
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

  /** Where the process backend keeps what it has to know of its executors. */
  get executorsDir(): string {
    return join(this.path, "executors");
  }

  /** Name of the fleet: of its folder, with a hash of the whole path, since others may have a folder of that name. */
  get fleetName(): string {
    const hash = createHash("sha256").update(this.path).digest("hex").slice(0, 8);
    return `${projectName(basename(this.path), "")}-${hash}`;
  }

  /** Whether a fleet has ever held the folder. */
  async wasHeld(): Promise<boolean> {
    return await access(this.lockFile).then(
      () => true,
      () => false,
    );
  }

  /** @throws {CliError} when it cannot be made */
  async make(): Promise<void> {
    try {
      await makeFolder(this.path, 0o700);
    } catch (error) {
      throw new CliError(
        `the data folder ${this.path} cannot be made (${errorText(error)}): choose another one with --data-dir`,
        { cause: error },
      );
    }
  }

  /**
   * Claims the folder for this process until the lock is disposed of.
   *
   * @throws {CliError} when another fleet holds it
   */
  async hold(): Promise<Disposable> {
    await this.make();
    const patience = AbortSignal.timeout(HOLD_PATIENCE_MS);
    try {
      const lock = await ExclusiveLock.take(this.lockFile, { signal: patience });
      // The pid of a fleet that was killed may be anybody's by now.
      await this.leave((await this.readState())?.backend);
      return lock;
    } catch (error) {
      if (!patience.aborted) throw error;
      throw new CliError(`${await this.describeHolder()}: end it first, or use another --data-dir`, {
        cause: error,
      });
    }
  }

  /** Whether a fleet holds the folder. One that was killed holds nothing, whatever it left there. */
  async isHeld(): Promise<boolean> {
    if (!(await this.wasHeld())) return false;
    using lock = await ExclusiveLock.tryTake(this.lockFile);
    return lock === undefined;
  }

  /** Says which fleet holds the folder. */
  async describeHolder(): Promise<string> {
    const state = await this.readState();
    const who = state?.pid ? ` (pid ${state.pid}${state.url ? `, ${state.url}` : ""})` : "";
    return `a fleet runs in ${this.path} already${who}`;
  }

  /** What the fleet last told; undefined where none runs, unless one was killed or left executors behind. */
  async readState(): Promise<FleetState | undefined> {
    const text = await readFile(this.#stateFile, "utf8").catch(() => "");
    return text === "" ? undefined : stateSchema.parse(JSON.parse(text));
  }

  async writeState(state: FleetState): Promise<void> {
    await writeFileAtomic(this.#stateFile, `${JSON.stringify(state)}\n`);
  }

  /** Tells that no manager runs, and of which backend executors may be left, if of any. */
  async leave(backend: FleetState["backend"]): Promise<void> {
    if (backend === undefined) await rm(this.#stateFile, { force: true });
    else await this.writeState({ backend });
  }

  /**
   * Begins new logs; those of the last fleet are kept beside them, so that they take the room of two runs at most. The
   * files themselves stay, since executors that are taken up go on writing to them.
   */
  async rotateLogs(): Promise<void> {
    const previous = `${this.logDir}.previous`;
    await rm(previous, { recursive: true, force: true });
    await makeFolder(this.logDir);
    await cp(this.logDir, previous, { recursive: true });
    const files = await readdir(this.logDir);
    await Promise.all(files.map((name) => truncate(join(this.logDir, name))));
  }

  /** A secret of this fleet that outlives its process. */
  async secret(): Promise<string> {
    const known = await this.knownSecret();
    if (known !== undefined) return known;
    const secret = randomBytes(32).toString("hex");
    await writeFile(this.#secretFile, secret, { mode: 0o600 });
    return secret;
  }

  /** The secret, if it has been made already. */
  async knownSecret(): Promise<string | undefined> {
    return (await readFile(this.#secretFile, "utf8").catch(() => "")) || undefined;
  }
}
