import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { ServiceError } from "#contract/errors.ts";

/**
 * Lets only requests through that carry the token as `Authorization: Bearer TOKEN`; the comparison takes the same time
 * whatever was sent.
 */
export function bearerAuth(token: string): MiddlewareHandler {
  const expected = digest(token);
  return async (c, next) => {
    const sent = /^Bearer +(.+)$/i.exec(c.req.header("authorization") ?? "")?.[1];
    if (sent === undefined || !timingSafeEqual(digest(sent.trim()), expected)) {
      throw new ServiceError("unauthorized", "The executor's token is missing or wrong");
    }
    await next();
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
