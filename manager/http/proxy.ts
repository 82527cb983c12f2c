import { Readable } from "node:stream";
import type { Context } from "hono";
import { wasNeverSent } from "#contract/connection-errors.ts";
import { ServiceError } from "#contract/errors.ts";
import { HOP_BY_HOP_HEADERS } from "#manager/fleet/executor-client.ts";
import type { Executor } from "#manager/fleet/executor.ts";
import type { Session } from "#manager/sessions/session.ts";
import { AUTO_CREATE } from "./auto-create.ts";

/** Headers that tell who calls the manager; they are not the executor's business. */
const OUR_HEADERS: ReadonlySet<string> = new Set(["host", "authorization", "x-api-key", "expect"]);

/** Headers that tell what a body is. */
const BODY_HEADERS: ReadonlySet<string> = new Set(["content-length", "content-type", "content-encoding"]);

const EMPTY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304]);

/**
 * Passes a request on to an executor: method, path, query, headers and body go as they came, and so do status,
 * headers and body of the reply. With a session it counts as a use of it until the reply has ended. Without one the
 * request goes without its body, in which there may be something that would reach the next tenant.
 *
 * @throws {ServiceError} `executor_unavailable`, `session_ended`
 */
export async function proxy(executor: Executor, c: Context, session?: Session): Promise<Response> {
  const { raw } = c.req;
  using held = new DisposableStack();
  if (session) held.use(session.use());
  const ends = [raw.signal, executor.lostSignal, ...(session ? [session.cutSignal] : [])];
  try {
    const reply = await executor.client.request({
      method: raw.method,
      path: executorTarget(raw.url),
      headers: Object.fromEntries(
        passedOn([...raw.headers], session ? OUR_HEADERS : OUR_HEADERS.union(BODY_HEADERS)),
      ),
      body: session && hasBody(raw) ? Readable.fromWeb(raw.body) : null,
      signal: AbortSignal.any(ends),
    });
    const untilEnd = held.move();
    reply.body.once("close", () => untilEnd.dispose());
    const headers = new Headers(passedOn(Object.entries(reply.headers).flatMap(single), new Set()));
    if (EMPTY_STATUSES.has(reply.statusCode)) await reply.body.dump();
    const body = EMPTY_STATUSES.has(reply.statusCode) ? null : Readable.toWeb(reply.body);
    return new Response(body, { status: reply.statusCode, headers });
  } catch (error) {
    if (raw.signal.aborted) throw error;
    session?.assertOpen();
    const detail = wasNeverSent(error)
      ? `Container ${executor.number} is not available`
      : `Container ${executor.number} did not finish its reply`;
    throw new ServiceError("executor_unavailable", detail, { cause: error });
  }
}

/** The path and query on the executor, as the client wrote them, but for what is meant for the manager. */
function executorTarget(url: string): string {
  const { pathname, search } = new URL(url);
  const query = search.slice(1).split("&");
  const passed = query.filter((pair) => !pair.startsWith(`${AUTO_CREATE}=`)).join("&");
  return pathname.replace(/^\/session\/[^/]*/, "") + (passed === "" ? "" : `?${passed}`);
}

/** A request has a body when its headers say so. Source: RFC 9112, section 6.3. */
function hasBody(request: Request): request is Request & { body: NonNullable<Request["body"]> } {
  const { headers, body } = request;
  return body !== null && (headers.has("transfer-encoding") || Number(headers.get("content-length")) > 0);
}

/** The headers that go beyond this connection: all but the well-known ones and those that `Connection` names. */
function passedOn(headers: [string, string][], kept: ReadonlySet<string>): [string, string][] {
  const connection = headers.find(([name]) => name === "connection")?.[1] ?? "";
  const named = new Set(connection.split(",").map((name) => name.trim().toLowerCase()));
  return headers.filter(([name]) => !HOP_BY_HOP_HEADERS.has(name) && !named.has(name) && !kept.has(name));
}

/** One pair for each value of a repeated header. */
function single([name, value]: [string, string | string[] | undefined]): [string, string][] {
  return [value ?? []].flat().map((one) => [name, one]);
}
