import { OpenAPIHono } from "@hono/zod-openapi";
import { assertAvailable, notAllocated } from "#manager/sessions/refusals.ts";
import type { Manager } from "#manager/manager.ts";
import type { AppEnv } from "./app-env.ts";
import { readAutoCreate } from "./auto-create.ts";
import { executeRoute } from "./execute-route.ts";
import { proxy } from "./proxy.ts";

/** Paths of the executor to which anybody may post, also on an executor that nobody holds. */
const OPEN_PATHS: ReadonlySet<string> = new Set(["/restart", "/interrupt"]);

/** Methods that change nothing. Source: RFC 9110, section 9.2.1. */
const SAFE_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);

/** Everything under `/session/{ref}/`: executing, and whatever else the executor serves. */
export function sessionRoutes(manager: Manager): OpenAPIHono<AppEnv> {
  const { resolver } = manager;
  const app = new OpenAPIHono<AppEnv>();

  app.post("/session/:ref/execute", (c) => executeRoute(manager, c.req.param("ref"), c));

  app.all("/session/:ref/*", async (c) => {
    const path = c.req.path.replace(/^\/session\/[^/]*/, "");
    if (path === "") return c.notFound();
    const { executor, session } = await resolver.find(c.req.param("ref"), {
      signal: c.req.raw.signal,
      autoCreate: readAutoCreate(c),
    });
    assertAvailable(executor);
    // What is left in an executor that nobody holds would reach the next tenant.
    if (!session && !SAFE_METHODS.has(c.req.method) && !OPEN_PATHS.has(path)) throw notAllocated(executor);
    return proxy(executor, c, session);
  });

  return app;
}
