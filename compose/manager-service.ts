import { createHash } from "node:crypto";
import type { ContainerConfig } from "#contract/container-config.ts";
import { MANAGER_PORT } from "#contract/manager-api.ts";
import type { ComposeObject } from "./compose-document.ts";
import { managerSocketDirectory, socketVolume, usesSocket } from "./executor-link.ts";
import { EXECUTOR_NETWORK } from "./executor-service.ts";
import { plannedExecutors, type FleetSpec, type PlannedExecutor } from "./fleet-spec.ts";
import { NO_NEW_PRIVILEGES } from "./isolation.ts";
import { bindMount, buildOf, healthCheck, LOGGING, ownImage, publishedPort } from "./service-parts.ts";

const CONFIG_PATH = "/etc/executor-fleet/container_config.json";

/** The volume of what the manager keeps over its restarts, and its place in the manager's image. */
export const DATA_VOLUME = "manager-data";
const DATA_DIRECTORY = "/data";

export const API_KEYS_SECRET = "fleet-api-keys";

/** User of the manager in its image. An API key file must be readable for it. */
export const MANAGER_UID = 10_002;

/** The Compose service of the manager. */
export function managerService(spec: FleetSpec, config: ContainerConfig): ComposeObject {
  const executors = plannedExecutors(spec);
  return {
    ...ownImage("executor-fleet-manager"),
    ...buildOf(spec, "manager"),
    healthcheck: healthCheck(2),
    init: true,
    restart: "unless-stopped",
    // Compose starts a service anew when its description changes, not when a file behind a mount does.
    labels: { "fleet.id": spec.name, "fleet.config": digest(config) },
    depends_on: Object.fromEntries(executors.map((executor) => [executor.service, dependency(executor)])),
    networks: spec.network === "shared" ? ["default", EXECUTOR_NETWORK] : ["default"],
    ports: [publishedPort(spec.manager.publish, spec.manager.port, MANAGER_PORT)],
    environment: {
      FLEET_HOST: "0.0.0.0",
      FLEET_PORT: String(MANAGER_PORT),
      // Inside its container the manager listens on every address; this one decides whether it may do without keys.
      FLEET_PUBLISHED_ON: spec.manager.publish,
      CONTAINER_CONFIG_FILE: CONFIG_PATH,
      FLEET_DATA_DIR: DATA_DIRECTORY,
      ...(spec.manager.apiKeyFile === undefined
        ? {}
        : { FLEET_API_KEYS_FILE: `/run/secrets/${API_KEYS_SECRET}` }),
    },
    ...(spec.manager.apiKeyFile === undefined ? {} : { secrets: [API_KEYS_SECRET] }),
    volumes: [
      bindMount(spec.configFile, CONFIG_PATH, true),
      { type: "volume", source: DATA_VOLUME, target: DATA_DIRECTORY },
      ...(usesSocket(spec) ? executors.map(socketMount) : []),
    ],
    read_only: true,
    tmpfs: ["/tmp:mode=1777,size=64M"],
    cap_drop: ["ALL"],
    security_opt: NO_NEW_PRIVILEGES,
    logging: LOGGING,
  };
}

/** Read-only: to connect to a socket needs no more. `nocopy` leaves the volume's owner to the executor's image. */
function socketMount(executor: PlannedExecutor): ComposeObject {
  return {
    type: "volume",
    source: socketVolume(executor),
    target: managerSocketDirectory(executor),
    read_only: true,
    volume: { nocopy: true },
  };
}

/** An image of the user's may have no health check, and Compose refuses to wait on what is not checked. */
function dependency(executor: PlannedExecutor): ComposeObject {
  return { condition: executor.image === undefined ? "service_healthy" : "service_started" };
}

function digest(config: ContainerConfig): string {
  return createHash("sha256").update(JSON.stringify(config)).digest("hex").slice(0, 16);
}
