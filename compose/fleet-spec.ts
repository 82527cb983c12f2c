import { z } from "zod";
import { resetKindSchema, type ResetKind } from "#contract/executor-api.ts";
import { builtInType, DEFAULT_MEMORY_BYTES } from "./executor-types.ts";
import { IMAGE_REFERENCE, MAX_EXECUTORS, TYPE_NAME } from "./parse-types.ts";

/**
 * How user code may use the network. `none`: not at all, the manager comes over a Unix socket. `egress`: it may go out,
 * but reaches neither the manager nor another executor. `shared`: one bridge for all, for executors of other makers.
 */
export const networkSchema = z.enum(["none", "egress", "shared"]);
export type Network = z.infer<typeof networkSchema>;

const portSchema = z.int().min(1).max(65_535);

/** What one executor may use. Memory in bytes; without it each type has its own. */
export const limitsSchema = z.strictObject({
  memoryBytes: z.int().positive().optional(),
  memoryReservationBytes: z.int().positive().optional(),
  cpus: z.number().positive(),
  pids: z.int().positive(),
});
export type Limits = z.infer<typeof limitsSchema>;

/** Everything that decides what a Compose file says. Paths are as the Compose file names them. */
export const fleetSpecSchema = z.strictObject({
  /** The Compose project, also the label `fleet.id`. Source of the pattern: the Compose specification. */
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]*$/),
  types: z
    .array(
      z.strictObject({
        type: z.string().regex(TYPE_NAME),
        count: z.int().min(1).max(MAX_EXECUTORS),
        image: z.string().regex(IMAGE_REFERENCE).optional(),
      }),
    )
    .min(1),
  /** How executors are cleared of a tenant, by type; a type that is left out has the manager's default. */
  resets: z.record(z.string(), resetKindSchema),
  network: networkSchema,
  limits: limitsSchema,
  /** Time limit of an execution, and the longest that a caller may ask for instead; seconds. */
  executionTimeout: z.number().positive(),
  maxExecutionTimeout: z.number().positive(),
  environment: z.record(z.string(), z.string()),
  /** The GPU of each executor by number. */
  gpuIds: z.array(z.string().nullable()).optional(),
  /** Directory whose code every executor loads. */
  codeDirectory: z.string().optional(),
  /** Directory that holds one submission directory for each executor. */
  submissionsDirectory: z.string().optional(),
  /** First of the loopback ports on which executors are published. */
  startPort: portSchema.optional(),
  runtime: z.string().optional(),
  manager: z.strictObject({
    port: portSchema,
    /** Address of this machine on which the manager is published. */
    publish: z.union([z.ipv4(), z.ipv6()]),
    apiKeyFile: z.string().optional(),
  }),
  buildContext: z.string(),
  configFile: z.string(),
});
export type FleetSpec = z.infer<typeof fleetSpecSchema>;

/** One executor that a spec asks for. */
export interface PlannedExecutor {
  number: number;
  /** Three digits, `007`, as in every name that is made of it. */
  digits: string;
  /** Name of its service, which is its host name on a shared network. */
  service: string;
  type: string;
  /** Set when the user mapped the type to an image of their own. */
  image: string | undefined;
  gpuId: string | null;
  firstOfType: boolean;
}

/** The executors of a fleet, numbered in the order of its types. */
export function plannedExecutors(spec: Pick<FleetSpec, "types" | "gpuIds">): PlannedExecutor[] {
  return spec.types
    .flatMap(({ type, count, image }) =>
      Array.from({ length: count }, (_, index) => ({ type, image, firstOfType: index === 0 })),
    )
    .map(({ type, image, firstOfType }, number) => {
      const digits = executorDigits(number);
      return {
        number,
        digits,
        service: `executor-${digits}`,
        type,
        image,
        gpuId: spec.gpuIds?.[number] ?? null,
        firstOfType,
      };
    });
}

export function executorDigits(number: number): string {
  return String(number).padStart(3, "0");
}

/** Memory limit of an executor of that type, in bytes. */
export function memoryBytesOf(limits: Pick<Limits, "memoryBytes">, type: string): number {
  return limits.memoryBytes ?? builtInType(type)?.memoryBytes ?? DEFAULT_MEMORY_BYTES;
}

/** How an executor of that type is cleared of a tenant, where the spec says it. */
export function resetOf({ resets }: Pick<FleetSpec, "resets">, type: string): ResetKind | undefined {
  // A type may have the name of something that every object has.
  return Object.hasOwn(resets, type) ? resets[type] : undefined;
}
