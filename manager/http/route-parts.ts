import { OpenAPIHono, z, type RouteConfig } from "@hono/zod-openapi";
import { invalidRequest } from "#contract/errors.ts";
import type { AppEnv } from "./app-env.ts";

/** JSON of that schema, as a body. */
export const jsonContent = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });

/** A JSON reply of a route. */
export const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: jsonContent(schema),
});

/** How many seconds a client waits. */
export const waitSeconds = z.coerce.number().min(0).max(3600).optional();

/** The path's part by which a session is meant. */
export const refParams = z.object({
  ref: z.string().openapi({ description: "Executor number, session id, or name@namespace" }),
});

/** Routes whose invalid requests are answered by the error table. */
export function newRoutes(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(result.error, result.target);
    },
  });
}

/**
 * A hidden route as the document is to show it: with a body, which may be left out, whatever the content type, and is
 * therefore read by hand.
 */
export function withOptionalBody(route: RouteConfig, schema: z.ZodType): RouteConfig {
  const body = { required: false, content: jsonContent(schema) };
  return { ...route, hide: false, request: { ...route.request, body } };
}
