import type { Context } from "hono";
import { z } from "@hono/zod-openapi";
import { invalidRequest } from "#contract/errors.ts";

/** The parameter of the query. */
export const AUTO_CREATE = "auto_create";

/** Whether a request wants a name that is not there to be opened; undefined when it does not say. */
export const autoCreateQuery = z.object({
  [AUTO_CREATE]: z
    .enum(["1", "true", "0", "false"])
    .transform((word) => word === "1" || word === "true")
    .optional()
    .openapi({ description: "Whether a session of that name is opened if there is none" }),
});

/**
 * Reads the query of a route that passes its requests on.
 *
 * @throws {ServiceError} `invalid_request`
 */
export function readAutoCreate(c: Context): boolean | undefined {
  const parsed = autoCreateQuery.safeParse({ [AUTO_CREATE]: c.req.query(AUTO_CREATE) });
  if (!parsed.success) throw invalidRequest(parsed.error, "query");
  return parsed.data.auto_create;
}
