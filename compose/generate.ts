import type { ContainerConfig } from "#contract/container-config.ts";
import type { ComposeDocument } from "./compose-document.ts";
import { containerConfig } from "./container-config.ts";
import { socketVolume, usesSocket } from "./executor-link.ts";
import { EXECUTOR_NETWORK, executorService } from "./executor-service.ts";
import { plannedExecutors, type FleetSpec } from "./fleet-spec.ts";
import { API_KEYS_SECRET, DATA_VOLUME, managerService } from "./manager-service.ts";
import { specWarnings } from "./spec-warnings.ts";

/** What a fleet is started from, and what its operator should know first. */
export interface GeneratedFleet {
  compose: ComposeDocument;
  containerConfig: ContainerConfig;
  warnings: string[];
}

/** The Compose file and the manager's configuration of a fleet. The same spec gives the same result. */
export function generateFleet(spec: FleetSpec): GeneratedFleet {
  const executors = plannedExecutors(spec);
  const config = containerConfig(spec);
  const { apiKeyFile } = spec.manager;
  const socketVolumes = usesSocket(spec) ? executors.map(socketVolume) : [];
  return {
    compose: {
      name: spec.name,
      services: {
        ...Object.fromEntries(
          executors.map((executor) => [executor.service, executorService(spec, executor)]),
        ),
        manager: managerService(spec, config),
      },
      ...networksOf(spec),
      volumes: Object.fromEntries([...socketVolumes, DATA_VOLUME].map((volume) => [volume, {}])),
      ...(apiKeyFile === undefined ? {} : { secrets: { [API_KEYS_SECRET]: { file: apiKeyFile } } }),
    },
    containerConfig: config,
    warnings: specWarnings(spec),
  };
}

function networksOf(spec: FleetSpec): Pick<ComposeDocument, "networks"> {
  if (spec.network === "none") return {};
  // Over an `egress` bridge no container reaches another one; the manager is not on it at all.
  const isolation = { driver_opts: { "com.docker.network.bridge.enable_icc": "false" } };
  const network = { driver: "bridge", ...(spec.network === "egress" ? isolation : {}) };
  return { networks: { [EXECUTOR_NETWORK]: network } };
}
