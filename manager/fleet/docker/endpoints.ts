import { chmod, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SOCKET_FILE } from "#compose/executor-link.ts";
import { executorDigits } from "#compose/fleet-spec.ts";
import type { Engine, EngineInfo, ObservedContainer } from "./engine.ts";
import type { ExecutorEndpoint } from "./executor-container.ts";
import { freePort } from "./free-port.ts";
import { FLEET_LABEL, numberOf, PORT_LABEL } from "./plan.ts";

/** A Unix socket's path may have 108 bytes with its closing zero. Source: unix(7). */
const MAX_SOCKET_PATH_LENGTH = 107;

/** Where the executors of one fleet listen, for a manager that runs on the machine itself. Deciding makes nothing. */
export class Endpoints {
  readonly warnings: readonly string[];
  readonly #engine: Engine;
  readonly #fleetId: string;
  readonly #socketRoot: string;
  readonly #usesSockets: boolean;
  #making: Promise<void> | undefined;

  /** Unix sockets where the engine shares this machine's files, else ports on loopback, with a warning. */
  constructor(engine: Engine, info: EngineInfo, { fleetId, dataDir }: { fleetId: string; dataDir: string }) {
    this.#engine = engine;
    this.#fleetId = fleetId;
    this.#socketRoot = join(dataDir, "run");
    const reason = reasonAgainstSockets(info, this.#socketRoot);
    this.#usesSockets = reason === undefined;
    this.warnings = this.#usesSockets
      ? []
      : [
          `Executors are reached over ports on loopback (${reason}); their code can therefore use the network.`,
        ];
  }

  /** Decides where an executor listens; a port is that of the container that is there. */
  async of(number: number, observed: readonly ObservedContainer[]): Promise<ExecutorEndpoint> {
    if (this.#usesSockets) {
      const directory = join(this.#socketRoot, executorDigits(number));
      return { kind: "socket", directory, gid: process.getgid?.() ?? 0 };
    }
    // Fixed, so that it stays the same when the engine restarts the container.
    const port = portOf(number, observed) ?? (await freePort());
    return { kind: "port", port, network: networkName(this.#fleetId) };
  }

  /** Makes the folder or the network that the executor's container needs. */
  async prepare(endpoint: ExecutorEndpoint, signal: AbortSignal): Promise<void> {
    if (endpoint.kind === "port") {
      const labels = { [FLEET_LABEL]: this.#fleetId };
      // Containers are made at the same time, and the engine would make a network of one name twice.
      this.#making ??= this.#engine
        .ensureBridge(endpoint.network, labels, signal)
        .finally(() => (this.#making = undefined));
      return await this.#making;
    }
    await mkdir(this.#socketRoot, { recursive: true, mode: 0o700 });
    await chmod(this.#socketRoot, 0o700);
    await mkdir(endpoint.directory, { recursive: true });
    // The server in the container comes in by the group that it is given; user code has neither this user nor group.
    await chmod(endpoint.directory, 0o770);
  }

  /** Removes the folders of all executors but those that are kept. The network goes with the fleet's containers. */
  async remove(numbers: readonly number[], kept: ReadonlySet<number>): Promise<void> {
    if (!this.#usesSockets) return;
    const gone =
      kept.size === 0
        ? [this.#socketRoot]
        : numbers
            .filter((number) => !kept.has(number))
            .map((number) => join(this.#socketRoot, executorDigits(number)));
    await Promise.all(gone.map((path) => rm(path, { recursive: true, force: true })));
  }
}

function portOf(number: number, observed: readonly ObservedContainer[]): number | undefined {
  const ports = observed
    .filter((container) => numberOf(container) === number)
    .map(({ labels }) => Number(labels[PORT_LABEL]));
  return ports.find((port) => Number.isInteger(port) && port > 0 && port < 65_536);
}

function networkName(fleetId: string): string {
  return `fleet-${fleetId}`;
}

/** A socket on a mounted folder does not cross from a virtual machine to this one. */
function reasonAgainstSockets({ operatingSystem, local }: EngineInfo, root: string): string | undefined {
  if (join(root, executorDigits(0), SOCKET_FILE).length > MAX_SOCKET_PATH_LENGTH)
    return "the data directory's path is too long for Unix sockets";
  if (!local || process.platform !== "linux" || operatingSystem === "Docker Desktop")
    return `${operatingSystem} does not share this machine's sockets`;
  return undefined;
}
