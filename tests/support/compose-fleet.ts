import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { statusSchema, type Status } from "#contract/manager-api.ts";
import { freePort } from "#manager/fleet/docker/free-port.ts";
import { PROJECT_DIR } from "./fleets.ts";

const run = promisify(execFile);

/** A fleet brought up by the generator's Compose file and `docker compose`, nothing else. */
export class ComposeFleet {
  readonly url: string;
  readonly #file: string;
  readonly #directory: string;

  private constructor(directory: string, port: number) {
    this.#directory = directory;
    this.#file = join(directory, "demo.yml");
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Writes the file by these flags and brings it up; resolves when every service is healthy. */
  static async up(flags: readonly string[]): Promise<ComposeFleet> {
    const directory = await mkdtemp(join(tmpdir(), "compose-fleet-"));
    const port = await freePort();
    const fleet = new ComposeFleet(directory, port);
    const output = ["--output", fleet.#file, "--manager-port", String(port)];
    await run(process.execPath, ["generate-compose.ts", ...flags, ...output], { cwd: PROJECT_DIR });
    // An image of an earlier state of the sources must not serve here.
    await fleet.compose("up", "--build", "-d", "--wait", "--quiet-pull");
    return fleet;
  }

  async compose(...args: string[]): Promise<string> {
    return (await run("docker", ["compose", "-f", this.#file, ...args])).stdout;
  }

  async status(): Promise<Status> {
    return statusSchema.parse(await (await fetch(`${this.url}/status`)).json());
  }

  /** The container of a service, and when that was started last. */
  async container(service: string): Promise<{ id: string; startedAt: string }> {
    const id = (await this.compose("ps", "--all", "--quiet", service)).trim();
    const { stdout } = await run("docker", ["inspect", "--format", "{{.State.StartedAt}}", id]);
    return { id, startedAt: stdout.trim() };
  }

  async down(): Promise<void> {
    await this.compose("down", "--volumes", "--timeout", "5");
    await rm(this.#directory, { recursive: true, force: true });
  }
}
