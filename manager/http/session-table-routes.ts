import { createRoute, z, type OpenAPIHono } from "@hono/zod-openapi";
import {
  ensureSessionSchema,
  renewalSchema,
  sessionEndSchema,
  sessionListSchema,
  sessionSchema,
} from "#contract/manager-api.ts";
import type { Manager } from "#manager/manager.ts";
import { toMs } from "#manager/sessions/session-terms.ts";
import type { AppEnv } from "./app-env.ts";
import { readAutoCreate } from "./auto-create.ts";
import { describeSession } from "./describe-session.ts";
import { readOptionalJson } from "./optional-json.ts";
import { failure, json, newRoutes } from "./route-parts.ts";

const DEFAULT_ENSURE_WAIT_S = 30;

const ref = z.string().openapi({ description: "Executor number, session id, or name@namespace" });
const params = z.object({ ref });
/** Bodies that may be left out are read by hand: the schema here is for the document. */
const documented = <T extends z.ZodType>(schema: T) => ({
  required: false,
  content: { "application/json": { schema } },
});

const listRoute = createRoute({
  method: "get",
  path: "/sessions",
  request: { query: z.object({ namespace: z.string().optional() }) },
  responses: {
    200: json(sessionListSchema, "Every session that has not ended, and what the config asks for"),
    422: failure,
  },
});
const showRoute = createRoute({
  method: "get",
  path: "/session/{ref}",
  request: { params },
  responses: { 200: json(sessionSchema, "The session"), 404: failure, 410: failure, 422: failure },
});
const putDocs = createRoute({
  method: "put",
  path: "/session/{ref}",
  request: { params, body: documented(ensureSessionSchema) },
  responses: {
    200: json(sessionSchema, "The session of that name, which was there"),
    201: json(sessionSchema, "The session of that name, which was opened"),
    400: failure,
    409: failure,
    422: failure,
    429: failure,
    503: failure,
  },
});
const endRoute = createRoute({
  method: "delete",
  path: "/session/{ref}",
  request: { params },
  responses: {
    200: json(sessionEndSchema, "The session has ended"),
    404: failure,
    410: failure,
    422: failure,
  },
});
const renewDocs = createRoute({
  method: "post",
  path: "/session/{ref}/renew",
  request: { params, body: documented(renewalSchema) },
  responses: {
    200: json(sessionSchema, "The session, whose time begins anew"),
    404: failure,
    410: failure,
    422: failure,
  },
});

/** Sessions as resources: listed, shown, opened by name, renewed, ended. */
export function sessionTableRoutes({ sessions, resolver, singletons }: Manager): OpenAPIHono<AppEnv> {
  const app = newRoutes();

  app.openapi(listRoute, (c) => {
    const { namespace } = c.req.valid("query");
    const wanted = (other: string | undefined) => namespace === undefined || namespace === other;
    return c.json(
      {
        sessions: sessions.all.map(describeSession).filter((session) => wanted(session.namespace)),
        singletons: singletons.list().filter((singleton) => wanted(singleton.namespace)),
      },
      200,
    );
  });

  app.openapi(showRoute, async (c) => {
    const { signal } = c.req.raw;
    const session = await resolver.findSession(c.req.param("ref"), { signal, autoCreate: readAutoCreate(c) });
    return c.json(describeSession(session), 200);
  });

  app.openAPIRegistry.registerPath(putDocs);
  app.put("/session/:ref", async (c) => {
    const name = resolver.nameOf(c.req.param("ref"));
    const { wait = DEFAULT_ENSURE_WAIT_S, ...spec } = await readOptionalJson(c, ensureSessionSchema);
    const { session, created } = await resolver.ensure(name, spec, {
      waitMs: toMs(wait),
      signal: c.req.raw.signal,
    });
    return c.json(describeSession(session), created ? 201 : 200);
  });

  app.openapi(endRoute, async (c) => {
    const { signal } = c.req.raw;
    const session = await resolver.findSession(c.req.param("ref"), { signal, autoCreate: false });
    void sessions.end(session, "ended by a client");
    return c.json(
      { status: "ended" as const, session_id: session.id, container_id: session.executorNumber },
      200,
    );
  });

  app.openAPIRegistry.registerPath(renewDocs);
  app.post("/session/:ref/renew", async (c) => {
    const { idle_timeout, lifetime } = await readOptionalJson(c, renewalSchema);
    const { signal } = c.req.raw;
    const session = await resolver.findSession(c.req.param("ref"), { signal, autoCreate: false });
    sessions.renew(session, {
      ...(idle_timeout === undefined ? {} : { idleTimeoutMs: toMs(idle_timeout) }),
      ...(lifetime === undefined ? {} : { lifetimeMs: toMs(lifetime) }),
    });
    return c.json(describeSession(session), 200);
  });

  return app;
}
