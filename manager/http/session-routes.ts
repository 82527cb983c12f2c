import { OpenAPIHono } from "@hono/zod-openapi";
import { assertAvailable } from "#manager/sessions/sessions.ts";
import type { Manager } from "#manager/manager.ts";
import { parseSessionRef } from "#manager/sessions/session-ref.ts";
import type { AppEnv } from "./app-env.ts";
import { executeRoute } from "./execute-route.ts";
import { proxy } from "./proxy.ts";

/** Paths of the executor that may be asked without a session, also of a free executor. */
const OPEN_PATHS: ReadonlySet<string> = new Set([
  "/health",
  "/ready",
  "/restart-status",
  "/restart",
  "/interrupt",
]);

/** Everything under `/session/{ref}/`: executing, and whatever else the executor serves. */
export function sessionRoutes(manager: Manager): OpenAPIHono<AppEnv> {
  const { sessions } = manager;
  const app = new OpenAPIHono<AppEnv>();

  app.post("/session/:ref/execute", (c) => executeRoute(manager, c.req.param("ref"), c));

  app.all("/session/:ref/*", async (c) => {
    const ref = parseSessionRef(c.req.param("ref"));
    const path = c.req.path.replace(/^\/session\/[^/]*/, "");
    if (OPEN_PATHS.has(path) || c.req.method === "GET" || c.req.method === "HEAD") {
      const { executor } = sessions.find(ref);
      assertAvailable(executor);
      return proxy(executor, c);
    }
    const { executor, session } = await sessions.findOrOpen(ref, c.req.raw.signal);
    return proxy(executor, c, session);
  });

  return app;
}
