import type { Context } from "hono";
import type { Logger } from "pino";
import { errorText, ServiceError } from "#contract/errors.ts";

/** Maps whatever a handler threw to the reply of the error table, and logs what is the manager's own fault. */
export function errorReply(error: Error, c: Context, log: Logger): Response {
  const known = error instanceof ServiceError ? error : undefined;
  if (c.req.raw.signal.aborted) log.debug({ err: error, path: c.req.path }, "the client went away");
  else if (!known) log.error({ err: error, path: c.req.path }, "request failed");
  else if (known.status >= 500)
    log.warn({ code: known.code, reason: errorText(error), path: c.req.path }, "request refused");
  const service =
    known ?? new ServiceError("internal", "Internal error; the manager's log says more", { cause: error });
  if (service.retryAfter !== undefined) c.header("retry-after", String(service.retryAfter));
  return c.json(service.toBody(), service.status);
}
