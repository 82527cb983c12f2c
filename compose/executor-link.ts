import { EXECUTOR_PORT } from "#contract/executor-api.ts";
import { executorDigits, type FleetSpec, type PlannedExecutor } from "./fleet-spec.ts";

/** Where an executor's container has what is mounted: its socket's folder, code to load, its submission directory. */
export const SOCKET_DIRECTORY = "/run/executor";
export const CODE_DIRECTORY = "/code";
export const SUBMISSION_DIRECTORY = "/submission";

/** The socket's name in its folder, wherever that is mounted. */
export const SOCKET_FILE = "executor.sock";
export const SOCKET_PATH = `${SOCKET_DIRECTORY}/${SOCKET_FILE}`;

/**
 * Whether the manager reaches executors over a Unix socket. An `egress` network keeps its containers apart, so that a
 * socket is the only way there, too.
 */
export function usesSocket(spec: FleetSpec): boolean {
  return spec.network !== "shared";
}

/** Whether executors listen on TCP: for the manager, or for who calls their published ports. */
export function usesTcp(spec: FleetSpec): boolean {
  return spec.network === "shared" || spec.startPort !== undefined;
}

/** Where the manager finds an executor. */
export function executorUrl(spec: FleetSpec, executor: PlannedExecutor): string {
  return usesSocket(spec)
    ? `unix:${managerSocketDirectory(executor)}/${SOCKET_FILE}`
    : `http://${executor.service}:${EXECUTOR_PORT}`;
}

/** The volume with an executor's socket: that executor's alone, or one tenant's code would see another's. */
export function socketVolume(executor: PlannedExecutor): string {
  return `${executor.service}-run`;
}

/** Where that volume is mounted in the manager. */
export function managerSocketDirectory(executor: PlannedExecutor): string {
  return `/run/executors/${executor.digits}`;
}

/** The directory on this machine that is one executor's submission directory. */
export function submissionDirectory(parent: string, number: number): string {
  return `${parent}/container_${executorDigits(number)}`;
}
