import { z } from "zod";

interface ErrorEntry {
  status: 400 | 401 | 403 | 404 | 405 | 409 | 410 | 413 | 415 | 422 | 429 | 500 | 502 | 503;
  /** Whether the same request may succeed later without anybody's doing. */
  retryable: boolean;
  hint?: string;
}

/** Every error that a manager or an executor of ours answers with. */
export const ERRORS = {
  invalid_request: { status: 422, retryable: false },
  malformed_json: {
    status: 422,
    retryable: false,
    hint: "See /openapi.json for the body that is expected here.",
  },
  unsupported_media_type: {
    status: 415,
    retryable: false,
    hint: "Use Content-Type: application/json, or text/plain with the code itself as the body.",
  },
  body_too_large: { status: 413, retryable: false, hint: "Send less, or raise MAX_BODY_BYTES." },
  not_found: { status: 404, retryable: false, hint: "See /openapi.json for what there is." },
  method_not_allowed: { status: 405, retryable: false },
  unauthorized: {
    status: 401,
    retryable: false,
    hint: "Send the key as Authorization: Bearer KEY or X-API-Key.",
  },
  foreign_origin: {
    status: 403,
    retryable: false,
    hint: "Web pages of other sites may not run code here; call from a program, or from a page of the same origin.",
  },
  foreign_host: {
    status: 403,
    retryable: false,
    hint: "Call by localhost or an IP address, or add the name to FLEET_ALLOWED_HOSTS.",
  },
  unknown_type: {
    status: 400,
    retryable: false,
    hint: "GET /status lists the types under available_by_type.",
  },
  unknown_container: {
    status: 404,
    retryable: false,
    hint: "GET /status tells how many executors there are.",
  },
  not_allocated: {
    status: 400,
    retryable: false,
    hint: "POST /allocate opens a session; GET /sessions lists them.",
  },
  unknown_session: {
    status: 404,
    retryable: false,
    hint: "POST /allocate opens a session, PUT /session/{name} one with a name; GET /sessions lists them.",
  },
  session_ended: {
    status: 410,
    retryable: false,
    hint: "A session id is never used again: open a new session.",
  },
  session_conflict: {
    status: 409,
    retryable: false,
    hint: "GET /session/{name} tells its spec; end it first, or take another name.",
  },
  env_unsupported: {
    status: 400,
    retryable: false,
    hint: "Leave env out, or use an executor type that takes one.",
  },
  storage_failed: {
    status: 503,
    retryable: true,
    hint: "See whether the disk of the manager's data directory is full; the manager's log says more.",
  },
  no_executor_free: {
    status: 503,
    retryable: true,
    hint: "Wait longer (?wait=SECONDS of POST /allocate or PUT /session/{name}), or run more executors.",
  },
  too_many_waiting: { status: 429, retryable: true, hint: "Too many clients wait for an executor already." },
  executor_unavailable: {
    status: 503,
    retryable: true,
    hint: "GET /status tells the executor's state and reason.",
  },
  executor_restarted: { status: 409, retryable: false, hint: "The state of its sessions is gone." },
  executor_bad_reply: { status: 502, retryable: false, hint: "The executor broke the executor contract." },
  queue_full: { status: 429, retryable: true, hint: "Too many executions wait in this session already." },
  engine_unavailable: { status: 503, retryable: true, hint: "Start Docker, or use --backend process." },
  shutting_down: { status: 503, retryable: true },
  internal: { status: 500, retryable: false },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

/** One problem with a request: where it is and what is wrong there. */
export const requestIssueSchema = z.object({
  loc: z.array(z.union([z.string(), z.number()])),
  msg: z.string(),
});
export type RequestIssue = z.infer<typeof requestIssueSchema>;

/** Body of every error reply. `detail` is a list for invalid requests. */
export const errorBodySchema = z.object({
  detail: z.union([z.string(), z.array(requestIssueSchema)]),
  code: z.string(),
  hint: z.string().optional(),
});
export type ErrorBody = z.infer<typeof errorBodySchema>;

/** An error with a code of the table, which becomes the HTTP reply. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  readonly code: ErrorCode;
  readonly detail: string | RequestIssue[];
  /** Seconds until a retry makes sense, sent as `Retry-After`. */
  readonly retryAfter: number | undefined;

  constructor(
    code: ErrorCode,
    detail: string | RequestIssue[],
    options: { cause?: unknown; retryAfter?: number } = {},
  ) {
    super(typeof detail === "string" ? detail : detail.map((issue) => issue.msg).join("; "), options);
    this.code = code;
    this.detail = detail;
    this.retryAfter = options.retryAfter;
  }

  get status(): ErrorEntry["status"] {
    return ERRORS[this.code].status;
  }

  toBody(): ErrorBody {
    const entry: ErrorEntry = ERRORS[this.code];
    return {
      detail: this.detail,
      code: this.code,
      ...(entry.hint === undefined ? {} : { hint: entry.hint }),
    };
  }
}

/** The 422 that tells every problem of a request that failed its schema. */
export function invalidRequest(error: z.ZodError, where: string): ServiceError {
  const issues = error.issues.map((issue) => ({
    loc: [where, ...issue.path.map(locationPart)],
    msg: issue.message,
  }));
  return new ServiceError("invalid_request", issues, { cause: error });
}

function locationPart(part: PropertyKey): string | number {
  return typeof part === "number" ? part : String(part);
}

/** The message of anything that was thrown, with the messages of its causes. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof AggregateError && error.message === "") return error.errors.map(errorText).join("; ");
  return error.cause instanceof Error ? `${error.message}: ${errorText(error.cause)}` : error.message;
}
