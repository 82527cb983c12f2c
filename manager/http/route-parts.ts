import { OpenAPIHono, z } from "@hono/zod-openapi";
import { errorBodySchema, invalidRequest } from "#contract/errors.ts";
import type { AppEnv } from "./app-env.ts";

/** A JSON reply of a route. */
export const json = <T extends z.ZodType>(schema: T, description: string) => ({
  description,
  content: { "application/json": { schema } },
});

/** The reply of a route that refuses. */
export const failure = json(errorBodySchema, "The error table's body");

/** How many seconds a client waits. */
export const waitSeconds = z.coerce.number().min(0).max(3600).optional();

/** Routes whose invalid requests are answered by the error table. */
export function newRoutes(): OpenAPIHono<AppEnv> {
  return new OpenAPIHono<AppEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(result.error, result.target);
    },
  });
}
