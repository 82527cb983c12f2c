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
import { autoCreateQuery } from "./auto-create.ts";
import { describeSession } from "./describe-session.ts";
import { failures, OPEN_FAILURES, REF_FAILURES, SPEC_FAILURES } from "./failures.ts";
import { readOptionalJson } from "./optional-json.ts";
import { json, newRoutes, refParams, waitSeconds, withOptionalBody } from "./route-parts.ts";

const DEFAULT_ENSURE_WAIT_S = 30;

const listRoute = createRoute({
  method: "get",
  path: "/sessions",
  request: { query: z.object({ namespace: z.string().optional() }) },
  responses: {
    200: json(sessionListSchema, "Every session that has not ended, and what the config asks for"),
    ...failures("invalid_request"),
  },
});
const showRoute = createRoute({
  method: "get",
  path: "/session/{ref}",
  request: { params: refParams, query: autoCreateQuery },
  responses: { 200: json(sessionSchema, "The session"), ...failures(...REF_FAILURES, ...OPEN_FAILURES) },
});
const putRoute = createRoute({
  method: "put",
  path: "/session/{ref}",
  request: { params: refParams, query: z.object({ wait: waitSeconds }) },
  hide: true,
  responses: {
    200: json(sessionSchema, "The session of that name, which was there"),
    201: json(sessionSchema, "The session of that name, which was opened"),
    ...failures("session_conflict", ...OPEN_FAILURES, ...SPEC_FAILURES),
  },
});
const endRoute = createRoute({
  method: "delete",
  path: "/session/{ref}",
  request: { params: refParams },
  responses: {
    200: json(sessionEndSchema, "The session has ended"),
    ...failures("storage_failed", ...REF_FAILURES),
  },
});
const renewRoute = createRoute({
  method: "post",
  path: "/session/{ref}/renew",
  request: { params: refParams },
  hide: true,
  responses: {
    200: json(sessionSchema, "The session, whose time begins anew"),
    ...failures("malformed_json", "storage_failed", ...REF_FAILURES),
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
    const { ref } = c.req.valid("param");
    const { auto_create: autoCreate } = c.req.valid("query");
    const session = await resolver.findSession(ref, { signal: c.req.raw.signal, autoCreate });
    return c.json(describeSession(session), 200);
  });

  app.openAPIRegistry.registerPath(withOptionalBody(putRoute, ensureSessionSchema));
  app.openapi(putRoute, async (c) => {
    const name = resolver.nameOf(c.req.valid("param").ref);
    const { wait: waitOfBody, ...spec } = await readOptionalJson(c, ensureSessionSchema);
    const wait = c.req.valid("query").wait ?? waitOfBody ?? DEFAULT_ENSURE_WAIT_S;
    const { session, created } = await resolver.ensure(name, spec, {
      waitMs: toMs(wait),
      signal: c.req.raw.signal,
    });
    return c.json(describeSession(session), created ? 201 : 200);
  });

  app.openapi(endRoute, async (c) => {
    const { signal } = c.req.raw;
    const session = await resolver.findSession(c.req.valid("param").ref, { signal, autoCreate: false });
    void sessions.end(session, "ended by a client");
    return c.json(
      { status: "ended" as const, session_id: session.id, container_id: session.executorNumber },
      200,
    );
  });

  app.openAPIRegistry.registerPath(withOptionalBody(renewRoute, renewalSchema));
  app.openapi(renewRoute, async (c) => {
    const { idle_timeout, lifetime } = await readOptionalJson(c, renewalSchema);
    const { signal } = c.req.raw;
    const session = await resolver.findSession(c.req.valid("param").ref, { signal, autoCreate: false });
    sessions.renew(session, {
      ...(idle_timeout === undefined ? {} : { idleTimeoutMs: toMs(idle_timeout) }),
      ...(lifetime === undefined ? {} : { lifetimeMs: toMs(lifetime) }),
    });
    return c.json(describeSession(session), 200);
  });

  return app;
}
