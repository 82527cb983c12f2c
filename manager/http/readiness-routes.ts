import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { connectionSchema, readinessSchema, type ConnectionStatus } from "#contract/manager-api.ts";
import type { Manager } from "#manager/manager.ts";
import type { AppEnv } from "./app-env.ts";
import { failures } from "./failures.ts";
import { json, newRoutes } from "./route-parts.ts";

/** How long a look at the engine may take until it counts as not there. */
const HEAL_TIMEOUT_MS = 3_000;

const connectionRoute = createRoute({
  method: "get",
  path: "/connection",
  responses: {
    200: json(connectionSchema, "What runs the executors, and whether it answers"),
    ...failures(),
  },
});
const readyRoute = createRoute({
  method: "get",
  path: "/readyz",
  responses: {
    200: json(readinessSchema, "Engine and fleet are ready"),
    503: json(readinessSchema, "One of them is not"),
    ...failures(),
  },
});

/** `/readyz` and `/connection`. */
export function readinessRoutes({ backend, fleet, resolver }: Manager): OpenAPIHono<AppEnv> {
  const app = newRoutes();
  const { namespace } = resolver;
  const statusNow = (): ConnectionStatus =>
    backend.connection?.status ?? {
      status: "not_connected",
      reason: `the ${backend.name} backend needs no engine`,
    };

  app.openapi(connectionRoute, (c) => c.json({ backend: backend.name, namespace, ...statusNow() }, 200));

  app.openapi(readyRoute, async (c) => {
    // A look must change nothing: HEAD tells what is known.
    const heals = c.req.method === "GET" && backend.connection !== undefined;
    const timeout = AbortSignal.timeout(HEAL_TIMEOUT_MS);
    const { status } = heals ? await backend.connection.heal(timeout) : statusNow();
    const { free, allocated } = fleet.countByState();
    const readiness = {
      engine_ok: backend.connection === undefined || status === "connected",
      fleet_ok: free + allocated > 0,
      ready_executors: free + allocated,
      namespace,
    };
    return c.json(readiness, readiness.engine_ok && readiness.fleet_ok ? 200 : 503);
  });

  return app;
}
