import { chmod, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SOCKET_FILE } from "#compose/executor-link.ts";
import { executorDigits } from "#compose/fleet-spec.ts";
import type { Engine } from "./engine.ts";
import type { ExecutorEndpoint } from "./executor-container.ts";
import { freePort } from "./free-port.ts";
import { FLEET_LABEL } from "./plan.ts";

/** A Unix socket's path may have 108 bytes with its closing zero. Source: unix(7). */
const MAX_SOCKET_PATH_LENGTH = 107;

/** Where the executors of one fleet listen, for a manager that runs on the machine itself. */
export class Endpoints implements AsyncDisposable {
  readonly warnings: readonly string[];
  readonly #engine: Engine;
  readonly #fleetId: string;
  readonly #socketRoot: string | undefined;

  private constructor(engine: Engine, fleetId: string, socketRoot: string | undefined, warnings: string[]) {
    this.#engine = engine;
    this.#fleetId = fleetId;
    this.#socketRoot = socketRoot;
    this.warnings = warnings;
  }

  /** Unix sockets where the engine shares this machine's files, else ports on loopback, with a warning. */
  static async choose(
    engine: Engine,
    { fleetId, dataDir }: { fleetId: string; dataDir: string },
  ): Promise<Endpoints> {
    const root = join(dataDir, "run");
    const reason = await reasonAgainstSockets(engine, root);
    if (reason === undefined) {
      await mkdir(root, { recursive: true, mode: 0o700 });
      await chmod(root, 0o700);
      return new Endpoints(engine, fleetId, root, []);
    }
    const network = networkName(fleetId);
    await engine.ensureBridge(network, { [FLEET_LABEL]: fleetId }, false);
    return new Endpoints(engine, fleetId, undefined, [
      `Executors are reached over ports on loopback (${reason}); their code can therefore use the network.`,
    ]);
  }

  async of(number: number): Promise<ExecutorEndpoint> {
    if (this.#socketRoot === undefined) {
      // Fixed, so that it stays the same when the engine restarts the container.
      return { kind: "port", port: await freePort(), network: networkName(this.#fleetId) };
    }
    const directory = join(this.#socketRoot, executorDigits(number));
    await mkdir(directory, { recursive: true });
    // The server in the container comes in by the group that it is given; user code has neither this user nor group.
    await chmod(directory, 0o770);
    return { kind: "socket", directory, gid: process.getgid?.() ?? 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socketRoot === undefined) await this.#engine.removeNetwork(networkName(this.#fleetId));
    else await rm(this.#socketRoot, { recursive: true, force: true });
  }
}

function networkName(fleetId: string): string {
  return `fleet-${fleetId}`;
}

/** A socket on a mounted folder does not cross from a virtual machine to this one. */
async function reasonAgainstSockets(engine: Engine, root: string): Promise<string | undefined> {
  if (join(root, executorDigits(0), SOCKET_FILE).length > MAX_SOCKET_PATH_LENGTH) {
    return "the data directory's path is too long for Unix sockets";
  }
  const { operatingSystem, local } = await engine.info();
  if (!local || process.platform !== "linux" || operatingSystem === "Docker Desktop") {
    return `${operatingSystem} does not share this machine's sockets`;
  }
  return undefined;
}
