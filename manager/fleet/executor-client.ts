import { Pool, type Dispatcher } from "undici";
import type { z } from "zod";
import { ServiceError } from "#contract/errors.ts";
import {
  healthSchema,
  codeInfoSchema,
  exitReplySchema,
  readySchema,
  restartReplySchema,
  verboseHealthSchema,
  type CodeInfo,
  type Health,
  type Ready,
  type RestartReply,
  type RestartRequest,
} from "#contract/executor-api.ts";
import { parseJson } from "#contract/json.ts";

/** A request of the generic proxy; the body is a stream or text. */
export interface ProxyRequest {
  method: string;
  /** With its query. */
  path: string;
  headers: Record<string, string>;
  body: Dispatcher.DispatchOptions["body"];
  signal: AbortSignal;
}

/** What an executor's process has done and does. */
export interface ExecutorLoad {
  /** Which process tells it. */
  bootId: string | undefined;
  /** Whether anything was executed since it started. */
  used: boolean;
  /** Whether something is executed, or waits for that. */
  busy: boolean;
}

/** Headers that belong to one connection and are not passed on. Source: RFC 9110, section 7.6.1. */
export const HOP_BY_HOP_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Largest reply that is read into memory; far more than the output cap lets through. */
export const MAX_REPLY_BYTES = 128 * 1024 * 1024;

/**
 * Keep-alive HTTP connections to one executor. Every reply is validated; waiting is bounded by the caller's signal
 * alone, since a cell may be silent for hours.
 */
export class ExecutorClient implements AsyncDisposable {
  readonly #pool: Pool;
  readonly #headers: Record<string, string>;

  /** `url` is `http://host:port` or `unix:/path`; `token` is what the executor expects of its callers. */
  constructor(url: string, token?: string) {
    const socketPath = url.startsWith("unix:") ? url.slice("unix:".length) : undefined;
    this.#pool = new Pool(socketPath === undefined ? new URL(url).origin : "http://executor", {
      ...(socketPath === undefined ? {} : { socketPath }),
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: 5_000 },
    });
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  }

  health(signal: AbortSignal): Promise<Health> {
    return this.#json("GET", "/health", healthSchema, signal);
  }

  ready(signal: AbortSignal): Promise<Ready> {
    return this.#json("GET", "/ready", readySchema, signal);
  }

  /** Starts a restart of the kernel; `ready` tells when it is over. */
  restart(signal: AbortSignal, request?: RestartRequest): Promise<RestartReply> {
    return this.#json("POST", "/restart", restartReplySchema, signal, request);
  }

  /** Has the executor's process end, so that its container starts again. */
  async exit(signal: AbortSignal): Promise<void> {
    await this.#json("POST", "/exit", exitReplySchema, signal);
  }

  /** What the executor's process has done and does; undefined for an executor that does not tell. */
  async load(signal: AbortSignal): Promise<ExecutorLoad | undefined> {
    const reply = await this.request({
      method: "GET",
      path: "/health?verbose",
      headers: {},
      body: null,
      signal,
    });
    const health = verboseHealthSchema.safeParse(parseJson(await readText(reply.body))).data;
    if (!health) return undefined;
    return {
      bootId: health.boot_id,
      used: health.executions + health.waiting > 0,
      busy: health.kernel.state === "busy" || health.waiting > 0,
    };
  }

  /** What became of the mounted code; undefined for an executor that does not tell. */
  async codeInfo(signal: AbortSignal): Promise<CodeInfo | undefined> {
    const reply = await this.request({ method: "GET", path: "/code-info", headers: {}, body: null, signal });
    const text = await readText(reply.body);
    if (reply.statusCode !== 200) return undefined;
    return codeInfoSchema.safeParse(parseJson(text)).data;
  }

  /** Any request, its reply as a stream. Undici's errors pass through: see `wasNeverSent` of the contract. */
  request(request: ProxyRequest): Promise<Dispatcher.ResponseData> {
    return this.#pool.request({
      method: request.method,
      path: request.path,
      headers: { ...request.headers, ...this.#headers },
      body: request.body ?? null,
      signal: request.signal,
    });
  }

  async #json<T>(
    method: string,
    path: string,
    schema: z.ZodType<T>,
    signal: AbortSignal,
    json?: unknown,
  ): Promise<T> {
    const sent =
      json === undefined
        ? { headers: {}, body: null }
        : { headers: { "content-type": "application/json" }, body: JSON.stringify(json) };
    const reply = await this.request({ method, path, ...sent, signal });
    const text = await readText(reply.body);
    const parsed = schema.safeParse(parseJson(text));
    if (reply.statusCode === 200 && parsed.success) return parsed.data;
    throw new ServiceError(
      "executor_bad_reply",
      `${method} ${path} answered ${reply.statusCode} with ${JSON.stringify(text.slice(0, 200))}`,
    );
  }

  /** Closes every connection at once; requests under way fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}

const CONNECTION_LOST: ReadonlySet<unknown> = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

/** Whether the other side ended the connection before its reply was whole. */
export function isConnectionLoss(error: unknown): boolean {
  return error instanceof Error && "code" in error && CONNECTION_LOST.has(error.code);
}

/**
 * The text of a reply, which is read up to a limit: an executor may be in the hands of the code that it ran.
 *
 * @throws {ServiceError} `executor_bad_reply` for a reply that is larger
 */
export async function readText(body: Dispatcher.ResponseData["body"]): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > MAX_REPLY_BYTES) {
      throw new ServiceError("executor_bad_reply", `The reply is larger than ${MAX_REPLY_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}
