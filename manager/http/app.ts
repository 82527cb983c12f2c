import { OpenAPIHono } from "@hono/zod-openapi";
import { requestId } from "hono/request-id";
import type { Logger } from "pino";
import { ServiceError } from "#contract/errors.ts";
import type { Manager } from "#manager/manager.ts";
import type { AppEnv } from "./app-env.ts";
import { limitBody } from "./body-limit.ts";
import { checkCaller, type CallerRules } from "./caller-checks.ts";
import { errorReply } from "./error-reply.ts";
import { eventRoutes } from "./event-routes.ts";
import { fleetRoutes } from "./fleet-routes.ts";
import { readinessRoutes } from "./readiness-routes.ts";
import { describeSessionRoutes } from "./session-docs.ts";
import { sessionRoutes } from "./session-routes.ts";
import { sessionTableRoutes } from "./session-table-routes.ts";

export interface AppSettings extends CallerRules {
  maxBodyBytes: number;
}

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"] as const;

/** Whether there is a route of just this method: middleware and the proxy take any. */
function hasRoute(app: OpenAPIHono<AppEnv>, method: string, path: string): boolean {
  return app.router.match(method, path)[0].some(([[, route]]) => route.method === method);
}

/** The manager's HTTP API. It can be called in memory or served. */
export function createApp(manager: Manager, settings: AppSettings, log: Logger): OpenAPIHono<AppEnv> {
  const app = new OpenAPIHono<AppEnv>();
  app.onError((error, c) => errorReply(error, c, log));
  app.notFound((c) => {
    const { method, path } = c.req;
    const allowed = METHODS.filter((other) => hasRoute(app, other, path));
    if (allowed.length > 0) c.header("allow", allowed.join(", "));
    const code = allowed.length > 0 ? "method_not_allowed" : "not_found";
    return errorReply(new ServiceError(code, `There is no ${method} ${path}`), c, log);
  });

  app.use(requestId());
  app.use(async (c, next) => {
    await next();
    // A Response that a handler made itself, such as a proxied one, does not carry the headers set above.
    c.res.headers.set("x-request-id", c.get("requestId"));
  });
  app.use(checkCaller(settings));
  app.use(limitBody(settings.maxBodyBytes));

  app.route("/", fleetRoutes(manager));
  app.route("/", readinessRoutes(manager));
  app.route("/", eventRoutes(manager));
  app.route("/", sessionTableRoutes(manager));
  app.route("/", sessionRoutes(manager));
  describeSessionRoutes(app.openAPIRegistry);
  const info = { title: "executor-fleet", version: "1" };
  app.get("/openapi.json", (c) => c.json(app.getOpenAPI31Document({ openapi: "3.1.0", info })));
  return app;
}
