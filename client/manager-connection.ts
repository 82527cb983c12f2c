import { Pool, type Dispatcher } from "undici";
import type { z } from "zod";
import { wasNeverSent } from "#contract/connection-errors.ts";
import { errorText } from "#contract/errors.ts";
import { parseJson } from "#contract/json.ts";
import { errorOfReply, excerpt, FleetError, type ReplyFacts } from "./fleet-error.ts";

/** One request of the manager's API. */
export interface ApiRequest {
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Segments are encoded already. */
  path: string;
  query?: Readonly<Record<string, string | number | undefined>>;
  /** Sent as JSON. */
  body?: unknown;
  accept?: string;
  /** A status of 400 or above whose reply may be a result all the same. */
  resultStatus?: number;
  signal?: AbortSignal | undefined;
}

/** What a request came to. */
export interface ApiReply<T> {
  status: number;
  body: T;
}

const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Keep-alive connections to one manager. No request is ever sent twice, and none has a deadline but its signal's: a
 * cell may be silent for hours.
 */
export class ManagerConnection implements AsyncDisposable {
  readonly #pool: Pool;
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;

  /** @throws {TypeError} when the URL is none of http or https, or the key cannot be sent in a header. */
  constructor(url: string, apiKey: string | undefined) {
    const parsed = URL.parse(url);
    if (parsed?.protocol !== "http:" && parsed?.protocol !== "https:") {
      throw new TypeError(
        `${JSON.stringify(url)} is not the URL of a manager, such as http://127.0.0.1:5000`,
      );
    }
    if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) {
      throw new TypeError("the API key holds a character that no header can carry, or is empty");
    }
    this.#url = parsed;
    this.#headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    this.#pool = new Pool(parsed.origin, {
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: CONNECT_TIMEOUT_MS },
    });
  }

  /**
   * The reply's body, parsed by a schema.
   *
   * @throws {FleetError}; or the signal's reason
   */
  async json<T>(request: ApiRequest, schema: z.ZodType<T>): Promise<T> {
    return (await this.reply(request, schema)).body;
  }

  /**
   * The reply's status and its body, parsed by a schema.
   *
   * @throws {FleetError}; or the signal's reason
   */
  async reply<T>(request: ApiRequest, schema: z.ZodType<T>): Promise<ApiReply<T>> {
    const reply = await this.guard(request, () => this.#send(request));
    const { statusCode: status } = reply;
    const text = await this.guard(request, () => reply.body.text());
    const parsed = schema.safeParse(parseJson(text));
    const isResult = status < 400 || status === request.resultStatus;
    if (isResult && parsed.success) return { status, body: parsed.data };
    if (status >= 400) throw errorOfReply(nameOf(request), factsOf(reply, text));
    const message = `${nameOf(request)} answered ${status} with ${excerpt(text)}`;
    throw new FleetError("bad_reply", message, { status, cause: parsed.error });
  }

  /**
   * The reply with its body unread; statuses of 400 and above have been thrown.
   *
   * @throws {FleetError}; or the signal's reason
   */
  async open(request: ApiRequest): Promise<Dispatcher.ResponseData> {
    const reply = await this.guard(request, () => this.#send(request));
    if (reply.statusCode < 400) return reply;
    const text = await this.guard(request, () => reply.body.text());
    throw errorOfReply(nameOf(request), factsOf(reply, text));
  }

  /** Runs one step of a request and tells its failure as a {@link FleetError}. */
  async guard<T>(request: ApiRequest, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      throw this.failure(request, error);
    }
  }

  /** What a failed step is to be told as: the signal's reason, or a {@link FleetError}. */
  failure({ method, path, signal }: ApiRequest, error: unknown): unknown {
    if (signal?.aborted) return signal.reason;
    if (error instanceof FleetError) return error;
    if (wasNeverSent(error)) {
      return new FleetError("unreachable", `no manager answers at ${this.#url.href}: ${errorText(error)}`, {
        cause: error,
        hint: "Start a fleet, or give the URL of one that runs.",
      });
    }
    const message = `the connection to ${this.#url.href} broke during ${method} ${path}: ${errorText(error)}`;
    return new FleetError("connection_lost", message, { cause: error });
  }

  #send({ method, path, query, body, accept, signal }: ApiRequest): Promise<Dispatcher.ResponseData> {
    const url = new URL(this.#url.pathname.replace(/\/$/, "") + path, this.#url);
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return this.#pool.request({
      method,
      path: url.pathname + url.search,
      headers: {
        ...this.#headers,
        accept: accept ?? "application/json",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal ?? null,
    });
  }

  /** Closes every connection at once; requests under way fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}

function nameOf({ method, path }: ApiRequest): string {
  return `${method} ${path}`;
}

function factsOf({ statusCode, headers }: Dispatcher.ResponseData, text: string): ReplyFacts {
  const retryAfter = headers["retry-after"];
  return { status: statusCode, text, retryAfter: typeof retryAfter === "string" ? retryAfter : undefined };
}
