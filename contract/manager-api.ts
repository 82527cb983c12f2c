import { z } from "zod";

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
  url: z.string(),
  session_id: z.string().optional(),
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

/** `POST /allocate`. `expires_at` is ISO 8601, when the session ends if it stays idle. */
export const allocationSchema = z.object({
  container_id: z.number().int(),
  type: z.string(),
  url: z.string(),
  session_id: z.string(),
  expires_at: z.string(),
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
