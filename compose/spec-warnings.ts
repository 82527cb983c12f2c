import { SOCKET_DIRECTORY, SOCKET_PATH, usesSocket } from "./executor-link.ts";
import type { FleetSpec } from "./fleet-spec.ts";

/** What the operator of a fleet should know before starting it. */
export function specWarnings(spec: FleetSpec): string[] {
  const warnings: string[] = [];
  if (spec.network === "shared")
    warnings.push(
      spec.manager.apiKeyFile === undefined
        ? "--network shared: user code can reach the manager and every executor; --api-key-file closes the manager to it"
        : "--network shared: user code can reach every executor",
    );
  else if (spec.startPort !== undefined)
    warnings.push("--start-port: executors listen on TCP, so that user code can call its own executor");
  if (usesSocket(spec)) {
    for (const { type, image } of spec.types) {
      if (image !== undefined)
        warnings.push(
          `type ${type}: ${image} must listen on the Unix socket that EXECUTOR_SOCKET names (${SOCKET_PATH}; ` +
            `${SOCKET_DIRECTORY} belongs to root), as images made from ours do; for one that listens on TCP use --network shared`,
        );
    }
  }
  return warnings;
}
