import { setImmediate as nextTurn } from "node:timers/promises";
import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import { healthSchema } from "#contract/executor-api.ts";
import {
  allocationSchema,
  deallocationSchema,
  fleetRestartSchema,
  sessionSpecSchema,
  statusSchema,
  type FleetRestart,
} from "#contract/manager-api.ts";
import { Deadline } from "#manager/fleet/deadline.ts";
import { statusOf } from "#manager/fleet/status.ts";
import type { Manager } from "#manager/manager.ts";
import { toMs } from "#manager/sessions/session-terms.ts";
import type { AppEnv } from "./app-env.ts";
import { expiryOf } from "./describe-session.ts";
import { failures, OPEN_FAILURES, SPEC_FAILURES } from "./failures.ts";
import { readOptionalJson } from "./optional-json.ts";
import { json, newRoutes, refParams, waitSeconds, withOptionalBody } from "./route-parts.ts";

const DEFAULT_TYPED_WAIT_S = 30;
const DEFAULT_DEALLOCATE_WAIT_S = 10;

const healthRoute = createRoute({
  method: "get",
  path: "/health",
  responses: { 200: json(healthSchema, "The manager lives"), ...failures() },
});
const statusRoute = createRoute({
  method: "get",
  path: "/status",
  responses: { 200: json(statusSchema, "What every executor is doing"), ...failures() },
});
const allocateRoute = createRoute({
  method: "post",
  path: "/allocate",
  request: { query: z.object({ container_type: z.string().optional(), wait: waitSeconds }) },
  hide: true,
  responses: {
    200: json(allocationSchema, "A session on the executor that was free longest"),
    ...failures(...OPEN_FAILURES, ...SPEC_FAILURES),
  },
});
const deallocateRoute = createRoute({
  method: "post",
  path: "/deallocate/{ref}",
  request: { params: refParams, query: z.object({ wait: waitSeconds }) },
  responses: {
    200: json(deallocationSchema, "The session has ended"),
    ...failures("invalid_request", "not_allocated", "storage_failed"),
  },
});
const restartRoute = createRoute({
  method: "post",
  path: "/restart",
  responses: {
    200: json(fleetRestartSchema, "Every session has ended, every executor that was held is clean"),
    ...failures(),
  },
});

/** `/health`, `/status`, `/allocate`, `/deallocate/{ref}` and `/restart`. */
export function fleetRoutes({ fleet, sessions, resolver, backend, stopping }: Manager): OpenAPIHono<AppEnv> {
  const app = newRoutes();

  app.openapi(healthRoute, (c) => c.json({ status: "ok" as const }, 200));

  app.openapi(statusRoute, (c) => c.json(statusOf(fleet, backend, sessions.waiting), 200));

  app.openAPIRegistry.registerPath(withOptionalBody(allocateRoute, sessionSpecSchema));
  app.openapi(allocateRoute, async (c) => {
    const { container_type, wait } = c.req.valid("query");
    const body = await readOptionalJson(c, sessionSpecSchema);
    const type = container_type ?? body.type;
    const waitMs = toMs(wait ?? (type === undefined ? 0 : DEFAULT_TYPED_WAIT_S));
    const { signal } = c.req.raw;
    const session = await sessions.allocate({ ...body, type }, { waitMs, signal });
    // A client that hung up after it was served, but before it could be told, must not hold an executor.
    const abandon = () => sessions.abandon(session, "its client hung up");
    signal.addEventListener("abort", abandon, { once: true });
    if (signal.aborted) abandon();
    await untilHangUpsAreSeen();
    const executor = sessions.executorOf(session);
    return c.json(
      {
        container_id: executor.number,
        type: executor.type,
        url: executor.url ?? "",
        session_id: session.id,
        expires_at: expiryOf(session),
      },
      200,
    );
  });

  app.openapi(deallocateRoute, async (c) => {
    const { ref } = c.req.valid("param");
    const waitMs = toMs(c.req.valid("query").wait ?? DEFAULT_DEALLOCATE_WAIT_S);
    const session = resolver.findHeld(ref);
    void sessions.end(session, "deallocated");
    const executor = sessions.executorOf(session);
    using deadline = new Deadline(waitMs);
    const signal = AbortSignal.any([deadline.signal, c.req.raw.signal, stopping]);
    const resetting = (await fleet.untilClean(executor, signal)) ? {} : { resetting: true as const };
    return c.json({ status: "deallocated" as const, container_id: executor.number, ...resetting }, 200);
  });

  app.openapi(restartRoute, async (c) => {
    const results = await sessions.restartAll();
    if (results.length === 0) {
      return c.json(
        { status: "no_containers_to_restart", restarted_containers: [] } satisfies FleetRestart,
        200,
      );
    }
    const failed = results.flatMap(({ executor: { number }, error }) =>
      error === undefined ? [] : [{ container_id: number, error }],
    );
    const restarted = results
      .filter(({ error }) => error === undefined)
      .map(({ executor: { number } }) => number);
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

/** A hang-up that has reached this machine is seen in the next turn of the event loop, which ends in the one after. */
async function untilHangUpsAreSeen(): Promise<void> {
  await nextTurn();
  await nextTurn();
}
