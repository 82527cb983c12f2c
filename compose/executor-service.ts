import { EXECUTOR_PORT } from "#contract/executor-api.ts";
import type { ComposeObject } from "./compose-document.ts";
import {
  CODE_DIRECTORY,
  SOCKET_DIRECTORY,
  SOCKET_PATH,
  SUBMISSION_DIRECTORY,
  socketVolume,
  submissionDirectory,
  usesSocket,
  usesTcp,
} from "./executor-link.ts";
import { builtInType } from "./executor-types.ts";
import { memoryBytesOf, type FleetSpec, type PlannedExecutor } from "./fleet-spec.ts";
import { ADDED_CAPABILITIES, NO_NEW_PRIVILEGES, tmpfsMounts } from "./isolation.ts";
import { formatMemory } from "./parse-limits.ts";
import {
  bindMount,
  buildOf,
  executorHealthCheck,
  LOGGING,
  ownImage,
  publishedPort,
} from "./service-parts.ts";

/** The network of executors that have one. */
export const EXECUTOR_NETWORK = "executors";

/** The Compose service of one executor. */
export function executorService(spec: FleetSpec, executor: PlannedExecutor): ComposeObject {
  return {
    ...imageOf(spec, executor),
    init: true,
    restart: "unless-stopped",
    ...(spec.runtime === undefined ? {} : { runtime: spec.runtime }),
    labels: { "fleet.id": spec.name, "fleet.executor": String(executor.number), "fleet.type": executor.type },
    ...networkOf(spec, executor),
    environment: environmentOf(spec),
    volumes: volumesOf(spec, executor),
    ...limitsOf(spec, executor),
    cap_drop: ["ALL"],
    cap_add: ADDED_CAPABILITIES,
    security_opt: NO_NEW_PRIVILEGES,
    logging: LOGGING,
  };
}

/** An image of the user's says itself how its health is checked, if at all. */
function imageOf(spec: FleetSpec, executor: PlannedExecutor): ComposeObject {
  const builtIn = executor.image === undefined ? builtInType(executor.type) : undefined;
  if (!builtIn) return { image: executor.image ?? executor.type };
  return {
    ...ownImage(builtIn.image),
    ...(executor.firstOfType ? buildOf(spec, builtIn.target) : {}),
    healthcheck: executorHealthCheck(spec),
  };
}

function networkOf(spec: FleetSpec, executor: PlannedExecutor): ComposeObject {
  if (spec.network === "none") return { network_mode: "none" };
  const port = spec.startPort === undefined ? undefined : spec.startPort + executor.number;
  return {
    networks: [EXECUTOR_NETWORK],
    ...(port === undefined ? {} : { ports: [publishedPort("127.0.0.1", port, EXECUTOR_PORT)] }),
  };
}

function environmentOf(spec: FleetSpec): ComposeObject {
  return {
    ...spec.environment,
    // By `restart` above: the executor may end its process to be cleared.
    CONTAINER_RESTARTS: "1",
    EXECUTION_TIMEOUT: String(spec.executionTimeout),
    MAX_EXECUTION_TIMEOUT: String(spec.maxExecutionTimeout),
    ...(usesSocket(spec) ? { EXECUTOR_SOCKET: SOCKET_PATH } : {}),
    ...(usesTcp(spec) ? { HOST: "0.0.0.0", PORT: String(EXECUTOR_PORT) } : {}),
    ...(spec.codeDirectory === undefined ? {} : { WORKSPACE_FOLDER: CODE_DIRECTORY }),
    ...(spec.submissionsDirectory === undefined ? {} : { SUBMISSION_DIR: SUBMISSION_DIRECTORY }),
  };
}

function volumesOf(spec: FleetSpec, executor: PlannedExecutor): ComposeObject[] {
  const volumes: ComposeObject[] = [];
  if (usesSocket(spec))
    volumes.push({ type: "volume", source: socketVolume(executor), target: SOCKET_DIRECTORY });
  if (spec.codeDirectory !== undefined) volumes.push(bindMount(spec.codeDirectory, CODE_DIRECTORY, true));
  if (spec.submissionsDirectory !== undefined) {
    const source = submissionDirectory(spec.submissionsDirectory, executor.number);
    volumes.push(bindMount(source, SUBMISSION_DIRECTORY, false));
  }
  return volumes;
}

function limitsOf(spec: FleetSpec, executor: PlannedExecutor): ComposeObject {
  const memoryBytes = memoryBytesOf(spec.limits, executor.type);
  const { memoryReservationBytes, cpus, pids } = spec.limits;
  return {
    mem_limit: formatMemory(memoryBytes),
    // No swap on top: a run over the limit ends at once instead of crawling.
    memswap_limit: formatMemory(memoryBytes),
    ...(memoryReservationBytes === undefined
      ? {}
      : { mem_reservation: formatMemory(memoryReservationBytes) }),
    cpus,
    pids_limit: pids,
    read_only: true,
    tmpfs: Object.entries(tmpfsMounts(memoryBytes)).map(([path, options]) => `${path}:${options}`),
    ...(executor.gpuId === null ? {} : { deploy: gpuReservation(executor.gpuId) }),
  };
}

function gpuReservation(gpuId: string): ComposeObject {
  const device = { driver: "nvidia", device_ids: [gpuId], capabilities: ["gpu"] };
  return { resources: { reservations: { devices: [device] } } };
}
