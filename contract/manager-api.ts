import { z } from "zod";
import { outcomeSchema } from "./execution.ts";
import { resetKindSchema, sessionEnvSchema } from "./executor-api.ts";

/** Port of the manager, unless told otherwise. */
export const MANAGER_PORT = 5000;

/** States of an executor. It is in exactly one of them. */
export const executorStateSchema = z.enum(["starting", "free", "allocated", "resetting", "unhealthy"]);
export type ExecutorState = z.infer<typeof executorStateSchema>;

/** One executor as `/status` lists it. Every state that is not healthy carries its reason. */
export const executorStatusSchema = z.object({
  container_id: z.number().int(),
  type: z.string(),
  state: executorStateSchema,
  reason: z.string().optional(),
  /** Absent until it has its place. */
  url: z.string().optional(),
  session_id: z.string().optional(),
  /** How it is cleared between two tenants. */
  reset: resetKindSchema,
  warnings: z.array(z.string()),
});
export type ExecutorStatus = z.infer<typeof executorStatusSchema>;

/** `GET /status`. available + allocated + starting + resetting + unhealthy = total, always. */
export const statusSchema = z.object({
  available_containers: z.number().int(),
  available_by_type: z.record(z.string(), z.number().int()),
  allocated_containers: z.number().int(),
  total_containers: z.number().int(),
  allocated_container_ids: z.array(z.number().int()),
  starting_containers: z.number().int(),
  resetting_containers: z.number().int(),
  unhealthy_containers: z.number().int(),
  waiting_allocations: z.number().int(),
  backend: z.string(),
  warnings: z.array(z.string()),
  executors: z.array(executorStatusSchema),
});
export type Status = z.infer<typeof statusSchema>;

/**
 * `POST /allocate`. `expires_at` is ISO 8601: when the session ends if nothing happens in it, by its idle time or its
 * lifetime, whichever is over first; null for never.
 */
export const allocationSchema = z.object({
  container_id: z.number().int(),
  type: z.string(),
  url: z.string(),
  session_id: z.string(),
  expires_at: z.string().nullable(),
});
export type Allocation = z.infer<typeof allocationSchema>;

/** `POST /deallocate/{ref}`. */
export const deallocationSchema = z.object({
  status: z.literal("deallocated"),
  container_id: z.number().int(),
  resetting: z.literal(true).optional(),
});
export type Deallocation = z.infer<typeof deallocationSchema>;

/** `POST /restart`. */
export const fleetRestartSchema = z.discriminatedUnion("status", [
  z.object({
    status: z.literal("restart_completed"),
    restarted_containers: z.array(z.number().int()),
    failed_containers: z.array(z.object({ container_id: z.number().int(), error: z.string() })),
    total_restarted: z.number().int(),
    total_failed: z.number().int(),
  }),
  z.object({
    status: z.literal("no_containers_to_restart"),
    restarted_containers: z.array(z.number().int()),
  }),
]);
export type FleetRestart = z.infer<typeof fleetRestartSchema>;

/** Timers count whole milliseconds. */
const limitSeconds = z
  .number()
  .min(0.001, "Too small: at least 0.001 s")
  .max(365 * 86_400);

/** What a session is to be. What is left out is the manager's to choose. */
export const sessionSpecSchema = z.strictObject({
  /** Type of its executor; any without it. */
  type: z.string().optional(),
  /** Seconds until it ends when nothing happens in it; `null` for never, as a detached one has it. */
  idle_timeout: limitSeconds.nullable().optional(),
  /** Seconds until it ends whatever happens in it; `null`, as without it, for never. */
  lifetime: limitSeconds.nullable().optional(),
  /** It outlives the client that made it and the manager's stop. */
  detached: z.boolean().optional(),
  /** Environment variables of its kernel. */
  env: sessionEnvSchema.optional(),
});
export type SessionSpec = z.infer<typeof sessionSpecSchema>;

/** Body of `PUT /session/{name}@{namespace}`: the spec, and for how many seconds to wait for a free executor. */
export const ensureSessionSchema = sessionSpecSchema.extend({ wait: z.number().min(0).max(3600).optional() });
export type EnsureSession = z.infer<typeof ensureSessionSchema>;

/** Body of `POST /session/{ref}/renew`, which may be left out: new limits, counted from now. */
export const renewalSchema = sessionSpecSchema.pick({ idle_timeout: true, lifetime: true });
export type Renewal = z.infer<typeof renewalSchema>;

/**
 * States of a session. `opening`: it waits for its executor. `unreachable`: its executor does not answer just now, so
 * that it is not known whether its state is still there.
 */
export const sessionStateSchema = z.enum(["opening", "open", "unreachable", "ended"]);
export type SessionState = z.infer<typeof sessionStateSchema>;

/** One session, as `GET /session/{ref}` tells it. Times are ISO 8601; limits are in seconds. */
export const sessionSchema = z.object({
  session_id: z.string(),
  name: z.string().optional(),
  namespace: z.string().optional(),
  state: sessionStateSchema,
  reason: z.string().optional(),
  container_id: z.number().int(),
  type: z.string(),
  detached: z.boolean(),
  idle_timeout: z.number().nullable(),
  /** Names of its environment variables: their values may be secrets. */
  env: z.array(z.string()),
  created_at: z.string(),
  last_used_at: z.string(),
  /** When it ends if nothing happens in it: by its idle time or by `ends_at`, whichever comes first. */
  expires_at: z.string().nullable(),
  /** When it ends whatever happens in it. */
  ends_at: z.string().nullable(),
  /** Executions that run, and those that wait for their turn. */
  running: z.number().int(),
  queued: z.number().int(),
});
export type Session = z.infer<typeof sessionSchema>;

/** A session that the fleet's config asks for. `opening`: it is tried to open it; the reason says what is in the way. */
export const singletonSchema = z.object({
  name: z.string(),
  namespace: z.string(),
  state: sessionStateSchema,
  reason: z.string().optional(),
  session_id: z.string().optional(),
});
export type Singleton = z.infer<typeof singletonSchema>;

/** `GET /sessions?namespace=`. */
export const sessionListSchema = z.object({
  sessions: z.array(sessionSchema),
  singletons: z.array(singletonSchema),
});
export type SessionList = z.infer<typeof sessionListSchema>;

/** `DELETE /session/{ref}`. */
export const sessionEndSchema = z.object({
  status: z.literal("ended"),
  session_id: z.string(),
  container_id: z.number().int(),
});
export type SessionEnd = z.infer<typeof sessionEndSchema>;

/** One change of state, as `GET /events` tells it. */
export const fleetEventSchema = z.discriminatedUnion("type", [
  z.object({ type: z.literal("executor"), executor: executorStatusSchema }),
  z.object({ type: z.literal("session"), session: sessionSchema }),
  z.object({
    type: z.literal("execution"),
    execution: z.object({
      execution_id: z.string(),
      session_id: z.string(),
      state: z.enum(["queued", "running", "ended"]),
      outcome: outcomeSchema.optional(),
    }),
  }),
]);
export type FleetEvent = z.infer<typeof fleetEventSchema>;

/** The connection to what runs the executors. */
export const connectionStatusSchema = z.discriminatedUnion("status", [
  z.object({ status: z.literal("not_connected"), reason: z.string() }),
  z.object({ status: z.literal("error"), error: z.string(), address: z.string() }),
  z.object({
    status: z.literal("connected"),
    address: z.string(),
    engine_version: z.string(),
    /** Of the engine's machine; memory in bytes. */
    resources: z.object({ cpus: z.number(), memory: z.number() }),
  }),
]);
export type ConnectionStatus = z.infer<typeof connectionStatusSchema>;

/** `GET /connection`. */
export const connectionSchema = z.intersection(
  connectionStatusSchema,
  z.object({ backend: z.string(), namespace: z.string() }),
);
export type Connection = z.infer<typeof connectionSchema>;

/** `GET /readyz`: 200 when both are ok, else 503. `engine_ok` is also true where no engine is needed. */
export const readinessSchema = z.object({
  engine_ok: z.boolean(),
  fleet_ok: z.boolean(),
  ready_executors: z.number().int(),
  namespace: z.string(),
});
export type Readiness = z.infer<typeof readinessSchema>;
