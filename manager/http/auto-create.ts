import type { Context } from "hono";
import { z } from "zod";
import { invalidRequest } from "#contract/errors.ts";

const TRUE = ["1", "true"];
const schema = z.object({ auto_create: z.enum([...TRUE, "0", "false"]).optional() });

/**
 * Whether a request wants a name that is not there to be opened (`?auto_create=1`); undefined when it does not say.
 *
 * @throws {ServiceError} `invalid_request`
 */
export function readAutoCreate(c: Context): boolean | undefined {
  const parsed = schema.safeParse({ auto_create: c.req.query("auto_create") });
  if (!parsed.success) throw invalidRequest(parsed.error, "query");
  return parsed.data.auto_create === undefined ? undefined : TRUE.includes(parsed.data.auto_create);
}
