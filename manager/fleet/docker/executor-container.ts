import { createHash } from "node:crypto";
import { EXECUTOR_PORT } from "#contract/executor-api.ts";
import {
  CODE_DIRECTORY,
  SOCKET_DIRECTORY,
  SOCKET_FILE,
  SOCKET_PATH,
  SUBMISSION_DIRECTORY,
} from "#compose/executor-link.ts";
import { executorDigits } from "#compose/fleet-spec.ts";
import {
  ADDED_CAPABILITIES,
  LOG_DRIVER,
  LOG_OPTIONS,
  NO_NEW_PRIVILEGES,
  tmpfsMounts,
} from "#compose/isolation.ts";
import type { ContainerOptions } from "./engine.ts";
import { EXECUTOR_LABEL, FINGERPRINT_LABEL, FLEET_LABEL, PORT_LABEL, TYPE_LABEL } from "./plan.ts";

/** How the manager, on the machine itself, reaches an executor in its container. */
export type ExecutorEndpoint =
  /** A Unix socket in a folder of this machine, mounted into that container alone: no network is needed. */
  | { kind: "socket"; directory: string; gid: number }
  /** A port published on loopback, where the engine's files are not this machine's; needs a network. */
  | { kind: "port"; port: number; network: string };

/** What one container is made of. */
export interface ExecutorContainer {
  fleetId: string;
  number: number;
  type: string;
  image: string;
  endpoint: ExecutorEndpoint;
  /** Bearer token that the executor expects of its callers: user code shares its network. */
  token: string;
  environment: Readonly<Record<string, string>>;
  memoryBytes: number;
  cpus: number;
  pids: number;
  codeDirectory?: string;
  submissionDirectory?: string;
}

/** Where the manager finds the executor. */
export function containerUrl({ endpoint }: ExecutorContainer): string {
  return endpoint.kind === "socket"
    ? `unix:${endpoint.directory}/${SOCKET_FILE}`
    : `http://127.0.0.1:${endpoint.port}`;
}

export function containerName({ fleetId, number }: Pick<ExecutorContainer, "fleetId" | "number">): string {
  return `fleet-${fleetId}-${executorDigits(number)}`;
}

/** The engine's options for the container. Its labels carry a fingerprint of all the others. */
export function containerOptions(container: ExecutorContainer): ContainerOptions {
  const options = optionsOf(container);
  const fingerprint = createHash("sha256").update(JSON.stringify(options)).digest("hex").slice(0, 16);
  return { ...options, Labels: { ...options.Labels, [FINGERPRINT_LABEL]: fingerprint } };
}

function optionsOf(container: ExecutorContainer): ContainerOptions {
  const { fleetId, number, type, image, endpoint, memoryBytes, cpus, pids } = container;
  const port = `${EXECUTOR_PORT}/tcp`;
  return {
    name: containerName(container),
    Image: image,
    Labels: {
      [FLEET_LABEL]: fleetId,
      [EXECUTOR_LABEL]: String(number),
      [TYPE_LABEL]: type,
      ...(endpoint.kind === "port" ? { [PORT_LABEL]: String(endpoint.port) } : {}),
    },
    Env: Object.entries(environmentOf(container)).map(([name, value]) => `${name}=${value}`),
    ...(endpoint.kind === "port" ? { ExposedPorts: { [port]: {} } } : {}),
    HostConfig: {
      Init: true,
      ...(endpoint.kind === "socket" && endpoint.gid !== 0 ? { GroupAdd: [String(endpoint.gid)] } : {}),
      RestartPolicy: { Name: "unless-stopped" },
      NetworkMode: endpoint.kind === "socket" ? "none" : endpoint.network,
      ...(endpoint.kind === "port"
        ? { PortBindings: { [port]: [{ HostIp: "127.0.0.1", HostPort: String(endpoint.port) }] } }
        : {}),
      Mounts: mountsOf(container),
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      NanoCpus: Math.round(cpus * 1e9),
      PidsLimit: pids,
      ReadonlyRootfs: true,
      Tmpfs: tmpfsMounts(memoryBytes),
      CapDrop: ["ALL"],
      CapAdd: ADDED_CAPABILITIES,
      SecurityOpt: NO_NEW_PRIVILEGES,
      LogConfig: { Type: LOG_DRIVER, Config: LOG_OPTIONS },
    },
  };
}

function environmentOf({
  endpoint,
  token,
  environment,
  ...container
}: ExecutorContainer): Record<string, string> {
  return {
    ...environment,
    ...(endpoint.kind === "socket" ? { EXECUTOR_SOCKET: SOCKET_PATH } : { HOST: "0.0.0.0" }),
    EXECUTOR_TOKEN: token,
    CONTAINER_RESTARTS: "1",
    ...(container.codeDirectory === undefined ? {} : { WORKSPACE_FOLDER: CODE_DIRECTORY }),
    ...(container.submissionDirectory === undefined ? {} : { SUBMISSION_DIR: SUBMISSION_DIRECTORY }),
  };
}

function bind(Source: string, Target: string, ReadOnly: boolean) {
  return { Type: "bind" as const, Source, Target, ReadOnly };
}

function mountsOf({ endpoint, codeDirectory, submissionDirectory }: ExecutorContainer) {
  return [
    ...(endpoint.kind === "socket" ? [bind(endpoint.directory, SOCKET_DIRECTORY, false)] : []),
    ...(codeDirectory === undefined ? [] : [bind(codeDirectory, CODE_DIRECTORY, true)]),
    ...(submissionDirectory === undefined ? [] : [bind(submissionDirectory, SUBMISSION_DIRECTORY, false)]),
  ];
}
