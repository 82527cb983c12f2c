import { errorBodySchema, type ErrorCode, type RequestIssue } from "#contract/errors.ts";
import { parseJson } from "#contract/json.ts";

/**
 * What the client itself finds, beside the codes of the error table. `unreachable`: the request never arrived, so that
 * nothing ran. `connection_lost`: it arrived, and what became of it is unknown. `bad_reply`: whoever answered does not
 * speak the manager's API.
 */
export type ClientErrorCode = "unreachable" | "connection_lost" | "bad_reply";

interface FleetErrorOptions {
  status?: number | undefined;
  hint?: string | undefined;
  issues?: readonly RequestIssue[];
  /** Seconds until a retry makes sense. */
  retryAfter?: number | undefined;
  cause?: unknown;
}

/** The one error that the client throws, apart from the reason of a signal that was aborted. */
export class FleetError extends Error {
  override readonly name = "FleetError";
  /** Of the error table; a manager of a later version may have more. */
  readonly code: ErrorCode | ClientErrorCode | (string & {});
  /** Status of the reply; undefined when there was none. */
  readonly status: number | undefined;
  readonly hint: string | undefined;
  /** What is wrong with the request, where the manager told it place by place. */
  readonly issues: readonly RequestIssue[];
  readonly retryAfter: number | undefined;

  constructor(code: FleetError["code"], message: string, options: FleetErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.status = options.status;
    this.hint = options.hint;
    this.issues = options.issues ?? [];
    this.retryAfter = options.retryAfter;
  }
}

/** What an error is read from. */
export interface ReplyFacts {
  status: number;
  text: string;
  retryAfter: string | undefined;
}

/** The error that a reply of status 400 and above stands for. */
export function errorOfReply(request: string, reply: ReplyFacts): FleetError {
  const { status, text } = reply;
  const body = errorBodySchema.safeParse(parseJson(text)).data;
  if (!body) {
    return new FleetError("bad_reply", `${request} answered ${status} with ${excerpt(text)}`, { status });
  }
  const issues = typeof body.detail === "string" ? [] : body.detail;
  const message =
    typeof body.detail === "string"
      ? body.detail
      : issues.map(({ loc, msg }) => `${loc.join(".")}: ${msg}`).join("; ");
  const seconds = Number(reply.retryAfter ?? Number.NaN);
  return new FleetError(body.code, message, {
    status,
    hint: body.hint,
    issues,
    retryAfter: Number.isFinite(seconds) ? seconds : undefined,
  });
}

/** The start of a text, quoted, for a message. */
export function excerpt(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
