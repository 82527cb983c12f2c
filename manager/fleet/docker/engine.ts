import { finished, PassThrough, Readable } from "node:stream";
import Docker from "dockerode";
import tar from "tar-fs";
import { z } from "zod";

/** A container as the engine lists it, as far as the fleet is concerned. */
export interface ObservedContainer {
  id: string;
  name: string;
  labels: Record<string, string>;
  running: boolean;
}

/** What the engine says about itself. */
export interface EngineInfo {
  version: string;
  /** `Docker Desktop` where the engine runs in a virtual machine of its own. */
  operatingSystem: string;
  /** Whether it is reached over a Unix socket, so that it may share this machine's files. */
  local: boolean;
}

/** A container that has ended. */
export interface DeathEvent {
  containerId: string;
  labels: Record<string, string>;
  reason: string;
  /** Whether the container is gone for good, so that the engine will not start it again. */
  removed: boolean;
}

export type ContainerOptions = Docker.ContainerCreateOptions;

const INFO_TIMEOUT_MS = 5_000;

const buildLineSchema = z.object({ stream: z.string().optional(), error: z.string().optional() });
const deathSchema = z.object({
  Action: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()) }),
});

/**
 * The Docker engine, by the environment's `DOCKER_HOST` or its usual socket. The only user of `dockerode`; the API
 * version is left to the engine. Making one opens no connection.
 */
export class Engine {
  readonly #docker = new Docker();

  /** @throws {Error} when no engine answers within some seconds. */
  async info(): Promise<EngineInfo> {
    const { ServerVersion, OperatingSystem } = z
      .object({ ServerVersion: z.string(), OperatingSystem: z.string() })
      .parse(await new Docker({ timeout: INFO_TIMEOUT_MS }).info());
    const options = z.object({ socketPath: z.unknown() }).parse(this.#docker.modem);
    return {
      version: ServerVersion,
      operatingSystem: OperatingSystem,
      local: options.socketPath !== undefined,
    };
  }

  async hasImage(name: string): Promise<boolean> {
    return await this.#unlessMissing(
      this.#docker
        .getImage(name)
        .inspect()
        .then(() => true),
      false,
    );
  }

  /**
   * Builds one target of a Dockerfile. `onLine` gets every line that the builder prints.
   *
   * @throws {Error} with the builder's message
   */
  async buildImage(
    build: { context: string; files: string[]; dockerfile: string; target: string; tag: string },
    { onLine, signal }: { onLine: (line: string) => void; signal: AbortSignal },
  ): Promise<void> {
    const { context, files, dockerfile, target, tag } = build;
    // Packed here, since dockerode reads a .dockerignore that lets files back in as one that shuts everything out.
    const pack = tar.pack(context, { entries: files, ignore: (path) => path.endsWith("__pycache__") });
    const options = { dockerfile, target, t: tag, forcerm: true };
    const stream = await this.#docker.buildImage(Readable.from(pack), { ...options, abortSignal: signal });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#docker.modem.followProgress(
      stream,
      (error: unknown) => (error ? reject(error) : resolve()),
      (event: unknown) => {
        const line = buildLineSchema.safeParse(event).data;
        if (line?.error !== undefined) reject(new Error(line.error));
        else if (line?.stream?.trim()) onLine(line.stream.trim());
      },
    );
    return await promise;
  }

  /** Every container, running or not, that carries the label with that value. */
  async containersWithLabel(label: string, value: string): Promise<ObservedContainer[]> {
    const found = await this.#docker.listContainers({ all: true, filters: { label: [`${label}=${value}`] } });
    return found.map(({ Id, Names, Labels, State }) => ({
      id: Id,
      name: Names[0]?.replace(/^\//, "") ?? Id,
      labels: Labels,
      // One that the engine is about to start again is as good as running.
      running: State === "running" || State === "restarting",
    }));
  }

  async create(options: ContainerOptions): Promise<string> {
    return (await this.#docker.createContainer(options)).id;
  }

  /** Starts a container; one that runs already is fine. */
  async start(id: string): Promise<void> {
    await this.#docker.getContainer(id).start().catch(ignoreStatus(304));
  }

  /** Ends a container at once, also one that is paused, and starts it again. */
  async restart(id: string): Promise<void> {
    await this.#docker.getContainer(id).restart({ t: 0 });
  }

  /** Ends and removes a container with its anonymous volumes; one that is gone already is fine. */
  async remove(id: string): Promise<void> {
    await this.#docker.getContainer(id).remove({ force: true, v: true }).catch(ignoreStatus(404));
  }

  /** What a container has printed and, with `follow`, goes on to print until the signal aborts. */
  async logs(name: string, options: { follow: boolean; signal: AbortSignal }): Promise<Readable> {
    const { follow, signal } = options;
    const container = this.#docker.getContainer(name);
    const both = { stdout: true, stderr: true, abortSignal: signal };
    const printed = new PassThrough();
    const multiplexed = follow
      ? await container.logs({ ...both, follow })
      : Readable.from([await container.logs({ ...both, follow })]);
    this.#docker.modem.demuxStream(multiplexed, printed, printed);
    finished(multiplexed, (error) => (error ? printed.destroy(error) : printed.end()));
    return printed;
  }

  /** Makes a bridge network on which containers reach the outside but, unless `shared`, not each other. */
  async ensureBridge(name: string, labels: Record<string, string>, shared: boolean): Promise<void> {
    const there = await this.#docker.listNetworks({ filters: { name: [name] } });
    if (there.some(({ Name }) => Name === name)) return;
    const Options = { "com.docker.network.bridge.enable_icc": String(shared) };
    await this.#docker.createNetwork({ Name: name, Driver: "bridge", Labels: labels, Options });
  }

  /** Removes every network that carries the label with that value. */
  async removeNetworks(label: string, value: string): Promise<void> {
    const found = await this.#docker.listNetworks({ filters: { label: [`${label}=${value}`] } });
    await Promise.all(found.map(({ Id }) => this.removeNetwork(Id)));
  }

  async removeNetwork(name: string): Promise<void> {
    await this.#docker.getNetwork(name).remove().catch(ignoreStatus(404));
  }

  /**
   * Subscribes to the ends of containers that carry the label. None that comes after this has resolved is missed, until
   * the signal aborts or the engine goes away, which ends the iteration.
   */
  async deaths(label: string, value: string, signal: AbortSignal): Promise<AsyncIterable<DeathEvent>> {
    const wanted = { type: ["container"], event: ["die", "destroy"], label: [`${label}=${value}`] };
    // The signal goes into the request: a stream that only wraps the reply would leave its connection open.
    return deathsOf(await this.#docker.getEvents({ filters: JSON.stringify(wanted), abortSignal: signal }));
  }

  async #unlessMissing<T>(found: Promise<T>, otherwise: T): Promise<T> {
    return await found.catch((error: unknown) => {
      if (statusOf(error) === 404) return otherwise;
      throw error;
    });
  }
}

async function* deathsOf(stream: NodeJS.ReadableStream): AsyncGenerator<DeathEvent> {
  let pending = "";
  for await (const chunk of stream) {
    pending += String(chunk);
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    for (const line of lines) if (line !== "") yield deathOf(line);
  }
}

function deathOf(line: string): DeathEvent {
  const { Action, Actor } = deathSchema.parse(JSON.parse(line));
  const removed = Action === "destroy";
  const exitCode = Actor.Attributes["exitCode"];
  const reason = removed
    ? "its container was removed"
    : `its container ended with exit code ${exitCode ?? "unknown"}`;
  return { containerId: Actor.ID, labels: Actor.Attributes, reason, removed };
}

function statusOf(error: unknown): unknown {
  return error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
}

function ignoreStatus(status: number): (error: unknown) => void {
  return (error) => {
    if (statusOf(error) !== status) throw error;
  };
}
