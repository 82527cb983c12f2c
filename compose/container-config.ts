import type { ContainerConfig } from "#contract/container-config.ts";
import { executorUrl } from "./executor-link.ts";
import { plannedExecutors, resetOf, type FleetSpec } from "./fleet-spec.ts";

/** The manager's map of its executors, by number. */
export function containerConfig(spec: FleetSpec): ContainerConfig {
  return Object.fromEntries(
    plannedExecutors(spec).map((executor) => {
      const reset = resetOf(spec, executor.type);
      return [
        String(executor.number),
        {
          url: executorUrl(spec, executor),
          type: executor.type,
          ...(reset === undefined ? {} : { reset }),
        },
      ];
    }),
  );
}
