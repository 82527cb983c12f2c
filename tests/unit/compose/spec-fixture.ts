import type { FleetSpec } from "#compose/fleet-spec.ts";
import { MIB } from "#compose/parse-limits.ts";

/** Two Python executors with every default, and what a test wants otherwise. */
export function specWith(changes: Partial<FleetSpec> = {}): FleetSpec {
  return {
    name: "work-demo",
    types: [{ type: "python", count: 2 }],
    resets: {},
    network: "none",
    limits: { cpus: 0.25, pids: 256 },
    executionTimeout: 30,
    maxExecutionTimeout: 3600,
    environment: {},
    manager: { port: 5000, publish: "127.0.0.1" },
    buildContext: ".",
    configFile: "./container_config.json",
    ...changes,
  };
}

/** A fleet that uses everything that goes with a shared network. */
export const everything: FleetSpec = specWith({
  types: [
    { type: "python", count: 2 },
    { type: "typescript", count: 1 },
    { type: "r", count: 1, image: "registry.example.org/team/r-exec:1.2" },
  ],
  resets: { python: "container", r: "kernel" },
  network: "shared",
  limits: { memoryBytes: 1024 * MIB, memoryReservationBytes: 128 * MIB, cpus: 1.5, pids: 128 },
  executionTimeout: 300,
  environment: { GREETING: 'a: {b "c" $HOME', NO: "no" },
  gpuIds: ["0", null, "GPU-1a2b", null],
  codeDirectory: "./a: {b",
  submissionsDirectory: "/srv/submissions",
  startPort: 9000,
  runtime: "runsc",
  manager: { port: 5100, publish: "0.0.0.0", apiKeyFile: "./keys" },
  buildContext: "..",
});
