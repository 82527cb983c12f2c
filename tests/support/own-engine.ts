import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { until } from "./until.ts";

const run = promisify(execFile);
const START_DEADLINE_MS = 60_000;

/**
 * Why tests with an engine of their own are skipped, or undefined when they run. With FLEET_REQUIRE_DOCKER they always
 * run, so that what is missing fails them.
 */
export async function reasonToSkipOwnEngine(): Promise<string | undefined> {
  if (process.env["FLEET_REQUIRE_DOCKER"] !== undefined) return undefined;
  if (process.getuid?.() !== 0) return "only root can start a dockerd";
  return await run("dockerd", ["--version"]).then(
    () => undefined,
    () => "there is no dockerd",
  );
}

/** An engine of the test's own, which can be stopped and started; it touches no other engine. */
export class OwnEngine implements AsyncDisposable {
  readonly socketPath: string;
  readonly #root: string;
  readonly #flags: readonly string[];
  #daemon: ChildProcess | undefined;

  private constructor(root: string, flags: readonly string[]) {
    this.#root = root;
    this.#flags = flags;
    this.socketPath = join(root, "docker.sock");
  }

  /** One that does not run yet; `flags` are more of dockerd's. */
  static async prepare(...flags: string[]): Promise<OwnEngine> {
    return new OwnEngine(await mkdtemp(join(tmpdir(), "fleet-engine-")), flags);
  }

  get host(): string {
    return `unix://${this.socketPath}`;
  }

  engine(): Engine {
    return new Engine({ socketPath: this.socketPath });
  }

  /** Resolves when it answers. `flags` replace those that it was prepared with. */
  async start(flags: readonly string[] = this.#flags): Promise<void> {
    await using log = await open(join(this.#root, "log"), "a");
    const places = ["data-root", "exec-root", "pidfile"].map((flag) => `--${flag}=${join(this.#root, flag)}`);
    const apart = ["--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"];
    // A network of its own: without a bridge, dockerd removes the `docker0` that it finds, which may be another engine's.
    const command = ["--net", "dockerd", ...places, `--host=${this.host}`, ...apart, ...flags];
    const daemon = spawn("unshare", command, {
      stdio: ["ignore", log.fd, log.fd],
      // Ctrl-C at the terminal reaches the test alone, which then ends it.
      detached: true,
    });
    this.#daemon = daemon;
    await once(daemon, "spawn");
    await until(
      "an engine of the test's own answers",
      async () => {
        if (daemon.exitCode !== null) throw new Error(`dockerd ended:\n${await this.#lastWords()}`);
        return await this.engine()
          .ping(AbortSignal.timeout(1_000))
          .then(
            () => true,
            () => undefined,
          );
      },
      START_DEADLINE_MS,
    );
  }

  /** Gives it an image of the engine that answers here. */
  async load(image: string): Promise<void> {
    const file = join(this.#root, "image.tar");
    await run("docker", ["save", "--output", file, image]);
    await run("docker", ["--host", this.host, "load", "--input", file]);
    await rm(file);
  }

  /** Asks it to end, and waits until it has. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** Lets it be silent on all its connections, without closing them. */
  freeze(): void {
    this.#daemon?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#daemon?.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    await this.stop();
    const mounts = (await readFile("/proc/self/mounts", "utf8"))
      .split("\n")
      .flatMap((line) => line.split(" ")[1] ?? []);
    for (const mount of mounts.filter((path) => path.startsWith(`${this.#root}/`)).toReversed())
      await run("umount", ["--lazy", mount]);
    await rm(this.#root, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const daemon = this.#daemon;
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const ended = once(daemon, "exit");
    daemon.kill(signal);
    await ended;
  }

  async #lastWords(): Promise<string> {
    return (await readFile(join(this.#root, "log"), "utf8")).split("\n").slice(-20).join("\n");
  }
}
