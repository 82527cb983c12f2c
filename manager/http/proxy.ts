import { Readable } from "node:stream";
import type { Context } from "hono";
import { ServiceError } from "#contract/errors.ts";
import { HOP_BY_HOP_HEADERS, wasNeverSent } from "#manager/fleet/executor-client.ts";
import type { Executor } from "#manager/fleet/executor.ts";

/** Headers that tell who calls the manager; they are not the executor's business. */
const OUR_HEADERS: ReadonlySet<string> = new Set([
  "host",
  "authorization",
  "x-api-key",
  "content-length",
  "expect",
]);

/**
 * Passes a request on to an executor: method, query, headers and body go as they came, and so do status, headers
 * and body of the reply.
 *
 * @throws {ServiceError} `executor_unavailable`
 */
export async function proxy(executor: Executor, c: Context, path: string): Promise<Response> {
  const { raw } = c.req;
  const headers: Record<string, string> = {};
  for (const [name, value] of raw.headers) {
    if (!HOP_BY_HOP_HEADERS.has(name) && !OUR_HEADERS.has(name)) headers[name] = value;
  }
  try {
    const reply = await executor.client.request({
      method: raw.method,
      path: path + new URL(raw.url).search,
      headers,
      body: raw.body === null ? null : Readable.fromWeb(raw.body),
      signal: AbortSignal.any([raw.signal, executor.lostSignal]),
    });
    const replyHeaders = new Headers();
    for (const [name, value] of Object.entries(reply.headers)) {
      if (value === undefined || HOP_BY_HOP_HEADERS.has(name)) continue;
      for (const one of Array.isArray(value) ? value : [value]) replyHeaders.append(name, one);
    }
    const empty = reply.statusCode === 204 || reply.statusCode === 304;
    const body = empty ? null : Readable.toWeb(reply.body);
    return new Response(body, { status: reply.statusCode, headers: replyHeaders });
  } catch (error) {
    if (raw.signal.aborted) throw error;
    const detail = wasNeverSent(error)
      ? `Container ${executor.number} is not available`
      : `Container ${executor.number} did not finish its reply`;
    throw new ServiceError("executor_unavailable", detail, { cause: error });
  }
}
