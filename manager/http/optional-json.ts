import type { Context } from "hono";
import type { z } from "zod";
import { invalidRequest } from "#contract/errors.ts";
import { readJson } from "./read-json.ts";

/**
 * The JSON body of a request that may come without one, which counts as an empty object.
 *
 * @throws {ServiceError} `malformed_json`, `invalid_request`
 */
export async function readOptionalJson<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const text = await c.req.text();
  const parsed = schema.safeParse(text.trim() === "" ? {} : readJson(text));
  if (parsed.success) return parsed.data;
  throw invalidRequest(parsed.error, "body");
}
