import { setImmediate as nextTurn } from "node:timers/promises";
import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { errorBodySchema, invalidRequest } from "#contract/errors.ts";
import { healthSchema } from "#contract/executor-api.ts";
import {
  allocationSchema,
  deallocationSchema,
  fleetRestartSchema,
  statusSchema,
  type FleetRestart,
} from "#contract/manager-api.ts";
import { statusOf } from "#manager/fleet/status.ts";
import type { Manager } from "#manager/manager.ts";
import type { AppEnv } from "./app-env.ts";

const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { "application/json": { schema } },
});
const failure = json(errorBodySchema, "The error table's body");
const waitSeconds = z.coerce.number().min(0).max(3600).optional();
const DEFAULT_TYPED_WAIT_S = 30;
const DEFAULT_DEALLOCATE_WAIT_S = 10;

const healthRoute = createRoute({
  method: "get",
  path: "/health",
  responses: { 200: json(healthSchema, "The manager lives") },
});
const statusRoute = createRoute({
  method: "get",
  path: "/status",
  responses: { 200: json(statusSchema, "What every executor is doing") },
});
const allocateRoute = createRoute({
  method: "post",
  path: "/allocate",
  request: { query: z.object({ container_type: z.string().optional(), wait: waitSeconds }) },
  responses: {
    200: json(allocationSchema, "A session on the executor that was free longest"),
    400: failure,
    422: failure,
    429: failure,
    503: failure,
  },
});
const deallocateRoute = createRoute({
  method: "post",
  path: "/deallocate/{ref}",
  request: { params: z.object({ ref: z.string() }), query: z.object({ wait: waitSeconds }) },
  responses: { 200: json(deallocationSchema, "The session has ended"), 400: failure, 422: failure },
});
const restartRoute = createRoute({
  method: "post",
  path: "/restart",
  responses: {
    200: json(fleetRestartSchema, "Every session has ended, every executor that was held is clean"),
  },
});

/** `/health`, `/status`, `/allocate`, `/deallocate/{ref}` and `/restart`. */
export function fleetRoutes({ fleet, sessions, backend }: Manager): OpenAPIHono<AppEnv> {
  const app = new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(result.error, result.target);
    },
  });

  app.openapi(healthRoute, (c) => c.json({ status: "ok" as const }, 200));

  app.openapi(statusRoute, (c) => c.json(statusOf(fleet, backend, sessions.waiting), 200));

  app.openapi(allocateRoute, async (c) => {
    const { container_type: type, wait } = c.req.valid("query");
    const waitMs = toMs(wait ?? (type === undefined ? 0 : DEFAULT_TYPED_WAIT_S));
    const { signal } = c.req.raw;
    const session = await sessions.allocate(type, { waitMs, signal });
    // A client that hung up after it was served, but before it could be told, must not hold an executor.
    const abandon = () => sessions.abandon(session);
    signal.addEventListener("abort", abandon, { once: true });
    if (signal.aborted) abandon();
    await untilHangUpsAreSeen();
    const executor = fleet.get(session.executorNumber);
    const expires_at = new Date(session.expiresAt).toISOString();
    const { number: container_id, url } = executor;
    return c.json({ container_id, type: executor.type, url, session_id: session.id, expires_at }, 200);
  });

  app.openapi(deallocateRoute, async (c) => {
    const { ref } = c.req.valid("param");
    const waitMs = toMs(c.req.valid("query").wait ?? DEFAULT_DEALLOCATE_WAIT_S);
    const { executor, clean } = await sessions.deallocate(ref, { waitMs, signal: c.req.raw.signal });
    const resetting = clean ? {} : { resetting: true as const };
    return c.json({ status: "deallocated" as const, container_id: executor.number, ...resetting }, 200);
  });

  app.openapi(restartRoute, async (c) => {
    const executors = await sessions.restartAll();
    if (executors.length === 0) {
      return c.json(
        { status: "no_containers_to_restart", restarted_containers: [] } satisfies FleetRestart,
        200,
      );
    }
    const failed = executors.flatMap(({ number, state }) =>
      state.name === "unhealthy" ? [{ container_id: number, error: state.reason }] : [],
    );
    const restarted = executors.filter(({ state }) => state.name !== "unhealthy").map(({ number }) => number);
    const reply: FleetRestart = {
      status: "restart_completed",
      restarted_containers: restarted,
      failed_containers: failed,
      total_restarted: restarted.length,
      total_failed: failed.length,
    };
    return c.json(reply, 200);
  });

  return app;
}

/** Timers take whole milliseconds. */
function toMs(seconds: number): number {
  return Math.round(seconds * 1000);
}

/** A hang-up that has reached this machine is seen in the next turn of the event loop, which ends in the one after. */
async function untilHangUpsAreSeen(): Promise<void> {
  await nextTurn();
  await nextTurn();
}
