import { finished, PassThrough, Readable } from "node:stream";
import Docker from "dockerode";
import tar from "tar-fs";
import { z } from "zod";
import { orAborted } from "#manager/fleet/or-aborted.ts";
import { containerEvents, type ContainerEvent } from "./container-event.ts";

/** A container as the engine lists it, as far as the fleet is concerned. */
export interface ObservedContainer {
  id: string;
  name: string;
  labels: Record<string, string>;
  running: boolean;
  /** Whether it is being removed, or could not be removed whole, so that it cannot be started again. */
  dead: boolean;
}

/** One run of a container, from its start to its end. */
export interface ContainerRun {
  containerId: string;
  /** By the engine's clock, in milliseconds since 1970; tells one run of a container from the next. */
  startedAt: number;
  running: boolean;
  /** 0 while it runs. */
  exitCode: number;
  /** Whether the memory limit ended one of its processes, which need not be the one that ended it. */
  oomKilled: boolean;
}

/** What the engine says about itself. */
export interface EngineInfo {
  version: string;
  /** `Docker Desktop` where the engine runs in a virtual machine of its own. */
  operatingSystem: string;
  /** Whether it is reached over a Unix socket, so that it may share this machine's files. */
  local: boolean;
  /** Of the engine's machine; memory in bytes. */
  resources: { cpus: number; memory: number };
}

export type ContainerOptions = Docker.ContainerCreateOptions;

/** How long a request may take that asks for no work. */
const ANSWER_TIMEOUT_MS = 5_000;
const EVENTS = ["start", "die", "destroy", "oom", "kill"];

const buildLineSchema = z.object({ stream: z.string().optional(), error: z.string().optional() });
const infoSchema = z.object({
  ServerVersion: z.string(),
  OperatingSystem: z.string(),
  NCPU: z.number(),
  MemTotal: z.number(),
});
const modemSchema = z.object({
  socketPath: z.union([z.string(), z.custom<object>((value) => typeof value === "function")]).optional(),
  host: z.string().optional(),
  port: z.union([z.string(), z.number()]).optional(),
});

/**
 * The Docker engine, by the environment's `DOCKER_HOST` or its usual socket unless a socket is named. The only user of
 * `dockerode`; the API version is left to the engine. Making one opens no connection.
 *
 * Its methods reject with what the engine answers or with the error of the connection: see {@link statusOf}.
 */
export class Engine {
  readonly #docker: Docker;
  /** For the requests that dockerode does not let anybody abort. */
  readonly #impatient: Docker;
  readonly #modem: z.infer<typeof modemSchema>;

  constructor(options: { socketPath?: string } = {}) {
    this.#docker = new Docker(options);
    this.#impatient = new Docker({ ...options, timeout: ANSWER_TIMEOUT_MS + 1_000 });
    this.#modem = modemSchema.parse(this.#docker.modem);
  }

  /** Where it is reached: the path of a socket, or `host:port`. */
  get address(): string {
    const { socketPath, host, port } = this.#modem;
    if (typeof socketPath === "string") return socketPath;
    return socketPath === undefined ? `${host}:${port}` : "the usual socket of Docker";
  }

  /** @throws {Error} when no engine answers within some seconds. */
  async info(signal?: AbortSignal): Promise<EngineInfo> {
    const answer = infoSchema.parse(await promptly(this.#impatient.info(), signal));
    return {
      version: answer.ServerVersion,
      operatingSystem: answer.OperatingSystem,
      local: this.#modem.socketPath !== undefined,
      resources: { cpus: answer.NCPU, memory: answer.MemTotal },
    };
  }

  /** @throws {Error} when the engine does not answer within some seconds. */
  async ping(signal: AbortSignal): Promise<void> {
    await promptly(this.#impatient.ping(), signal);
  }

  async hasImage(name: string, signal: AbortSignal): Promise<boolean> {
    const found = unlessMissing(this.#impatient.getImage(name).inspect());
    return (await promptly(found, signal)) !== undefined;
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

  /** Every container, running or not, that carries all the labels with these values. */
  async containersWithLabels(
    labels: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<ObservedContainer[]> {
    return await this.#list({ label: labelFilters(labels) }, signal);
  }

  /** The container of that name, whoever made it. */
  async containerNamed(name: string, signal: AbortSignal): Promise<ObservedContainer | undefined> {
    // The engine looks for parts of names.
    return (await this.#list({ name: [name] }, signal)).find((container) => container.name === name);
  }

  /** The present or last run of a container; undefined when there is no such container. */
  async inspect(id: string, signal: AbortSignal): Promise<ContainerRun | undefined> {
    const found = await unlessMissing(this.#docker.getContainer(id).inspect({ abortSignal: signal }));
    if (!found) return undefined;
    const { StartedAt, Running, Restarting, ExitCode, OOMKilled } = found.State;
    return {
      containerId: id,
      startedAt: Date.parse(StartedAt),
      running: Running && !Restarting,
      exitCode: ExitCode,
      oomKilled: OOMKilled,
    };
  }

  async create(options: ContainerOptions, signal: AbortSignal): Promise<string> {
    return (await this.#docker.createContainer({ ...options, abortSignal: signal })).id;
  }

  /** Starts a container; one that runs already is fine. */
  async start(id: string, signal: AbortSignal): Promise<void> {
    await this.#docker.getContainer(id).start({ abortSignal: signal }).catch(ignoreStatus(304));
  }

  /** Ends a container at once, also one that is paused, and starts it again. */
  async restart(id: string, signal: AbortSignal): Promise<void> {
    await this.#docker.getContainer(id).restart({ t: 0, abortSignal: signal });
  }

  /** Ends and removes a container with its anonymous volumes; one that is gone already is fine. */
  async remove(id: string, signal: AbortSignal): Promise<void> {
    const options = { force: true, v: true, abortSignal: signal };
    await this.#docker.getContainer(id).remove(options).catch(ignoreStatus(404));
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

  /** Makes a bridge network, unless it is there, on which containers reach the outside but not each other. */
  async ensureBridge(name: string, labels: Record<string, string>, signal: AbortSignal): Promise<void> {
    const filters = { name: [name], label: labelFilters(labels) };
    const there = await this.#docker.listNetworks({ filters, abortSignal: signal });
    if (there.some(({ Name }) => Name === name)) return;
    const Options = { "com.docker.network.bridge.enable_icc": "false" };
    const network = { Name: name, CheckDuplicate: true, Driver: "bridge", Labels: labels, Options };
    await this.#docker.createNetwork({ ...network, abortSignal: signal });
  }

  /** Removes every network that carries the label with that value. */
  async removeNetworks(label: string, value: string): Promise<void> {
    const found = await this.#docker.listNetworks({ filters: { label: [`${label}=${value}`] } });
    const removals = found.map(({ Id }) => this.#docker.getNetwork(Id).remove().catch(ignoreStatus(404)));
    await Promise.all(removals);
  }

  async #list(filters: Record<string, string[]>, signal?: AbortSignal): Promise<ObservedContainer[]> {
    const options = { all: true, filters, ...(signal ? { abortSignal: signal } : {}) };
    const found = await this.#docker.listContainers(options);
    return found.map(({ Id, Names, Labels, State }) => ({
      id: Id,
      name: Names[0]?.replace(/^\//, "") ?? Id,
      labels: Labels,
      // One that the engine is about to start again, or that somebody paused, is as good as running.
      running: ["running", "restarting", "paused"].includes(State),
      dead: ["dead", "removing"].includes(State),
    }));
  }

  /**
   * Subscribes to what happens to the containers that carry the label. Nothing that comes after this has resolved is
   * missed, until the signal aborts or the engine goes away, which ends the iteration.
   */
  async events(label: string, value: string, signal: AbortSignal): Promise<AsyncIterable<ContainerEvent>> {
    const wanted = { type: ["container"], event: EVENTS, label: [`${label}=${value}`] };
    // The signal goes into the request: a stream that only wraps the reply would leave its connection open.
    return containerEvents(
      await this.#docker.getEvents({ filters: JSON.stringify(wanted), abortSignal: signal }),
    );
  }
}

/** The HTTP status of an engine's answer; undefined for an error of the connection. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && "statusCode" in error && typeof error.statusCode === "number"
    ? error.statusCode
    : undefined;
}

function labelFilters(labels: Record<string, string>): string[] {
  return Object.entries(labels).map(([label, value]) => `${label}=${value}`);
}

/** @throws {Error} when there is no answer within some seconds; or the signal's reason */
async function promptly<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  const timeout = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
  return await orAborted(answer, signal ? AbortSignal.any([timeout, signal]) : timeout);
}

async function unlessMissing<T>(found: Promise<T>): Promise<T | undefined> {
  return await found.catch((error: unknown) => {
    if (statusOf(error) !== 404) throw error;
    return undefined;
  });
}

function ignoreStatus(status: number): (error: unknown) => void {
  return (error) => {
    if (statusOf(error) !== status) throw error;
  };
}
