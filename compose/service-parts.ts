import type { ComposeObject } from "./compose-document.ts";
import { plannedExecutors, type FleetSpec } from "./fleet-spec.ts";
import { LOG_DRIVER, LOG_OPTIONS } from "./isolation.ts";

export const LOGGING: ComposeObject = { driver: LOG_DRIVER, options: LOG_OPTIONS };

/** An image of ours. Compose never asks a registry for it, where somebody else could own the name. */
export function ownImage(image: string): ComposeObject {
  return { image, pull_policy: "never" };
}

/**
 * How Compose builds an image of ours where it is missing. One service of those that share an image says it: Compose
 * would build the image once for each that does, and every time another one.
 */
export function buildOf(spec: FleetSpec, target: string): ComposeObject {
  return { build: { context: spec.buildContext, dockerfile: "Dockerfile.executor", target } };
}

/**
 * When an executor's health is checked; how is said by its image. A check costs the engine about 0.1 s of one core, so
 * that a fleet spends at most a fifth of a core on them; an executor with a quarter of a core takes almost three seconds
 * until it is ready. `start_interval` would make the first check come sooner, but engines before 25 refuse it.
 */
export function executorHealthCheck(spec: FleetSpec): ComposeObject {
  const seconds = Math.min(30, Math.max(3, Math.ceil(plannedExecutors(spec).length / 2)));
  return healthCheck(seconds);
}

/** A failing check counts only after `start_period`: mounted code may take its time to load. */
export function healthCheck(seconds: number): ComposeObject {
  return { interval: `${seconds}s`, timeout: "5s", retries: 3, start_period: "120s" };
}

/** A directory or file of this machine, mounted as it is; a missing one is an error instead of a new directory. */
export function bindMount(source: string, target: string, readOnly: boolean): ComposeObject {
  return { type: "bind", source, target, read_only: readOnly, bind: { create_host_path: false } };
}

/** A port published on one address of this machine. */
export function publishedPort(address: string, published: number, target: number): ComposeObject {
  return { host_ip: address, published: String(published), target, protocol: "tcp" };
}
