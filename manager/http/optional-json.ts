import type { Context } from "hono";
import type { z } from "zod";
import { invalidRequest, ServiceError } from "#contract/errors.ts";

/**
 * The JSON body of a request that may come without one, which counts as an empty object.
 *
 * @throws {ServiceError} `malformed_json`, `invalid_request`
 */
export async function readOptionalJson<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const text = await c.req.text();
  const parsed = schema.safeParse(text.trim() === "" ? {} : parse(text));
  if (parsed.success) return parsed.data;
  throw invalidRequest(parsed.error, "body");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const issues = [
      { loc: ["body"], msg: `not JSON: ${error instanceof Error ? error.message : String(error)}` },
    ];
    throw new ServiceError("malformed_json", issues, { cause: error });
  }
}
