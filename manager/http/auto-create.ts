import type { Context } from "hono";
import { z } from "zod";
import { invalidRequest } from "#contract/errors.ts";

/** The parameter of the query. */
export const AUTO_CREATE = "auto_create";

const TRUE = ["1", "true"];
const schema = z.object({ [AUTO_CREATE]: z.enum([...TRUE, "0", "false"]).optional() });

/**
 * Whether a request wants a name that is not there to be opened (`?auto_create=1`); undefined when it does not say.
 *
 * @throws {ServiceError} `invalid_request`
 */
export function readAutoCreate(c: Context): boolean | undefined {
  const parsed = schema.safeParse({ [AUTO_CREATE]: c.req.query(AUTO_CREATE) });
  if (!parsed.success) throw invalidRequest(parsed.error, "query");
  return parsed.data.auto_create === undefined ? undefined : TRUE.includes(parsed.data.auto_create);
}
