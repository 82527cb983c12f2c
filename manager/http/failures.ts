import { errorBodySchema, ERRORS, type ErrorCode } from "#contract/errors.ts";
import { json } from "./route-parts.ts";

/** What any request may be refused with, besides `internal`. */
const EVERYWHERE: readonly ErrorCode[] = ["unauthorized", "foreign_origin", "foreign_host", "body_too_large"];

/** What a reference to a session may be refused with. */
export const REF_FAILURES: readonly ErrorCode[] = [
  "invalid_request",
  "unknown_container",
  "unknown_session",
  "session_ended",
];

/** What opening a session may be refused with, whatever it is to be. */
export const OPEN_FAILURES: readonly ErrorCode[] = [
  "no_executor_free",
  "too_many_waiting",
  "storage_failed",
  "shutting_down",
];

/** What opening a session may be refused with besides, where its spec is the client's. */
export const SPEC_FAILURES: readonly ErrorCode[] = [
  "malformed_json",
  "invalid_request",
  "unknown_type",
  "env_unsupported",
  "executor_unavailable",
  "executor_bad_reply",
];

const failure = (...codes: ErrorCode[]) => json(errorBodySchema, codes.join(", "));

/**
 * The replies with which a route refuses, by their statuses in the error table, for the document. Refusals are thrown:
 * the type has only the one that every route has, so that a handler's reply is none of them.
 */
export function failures(...codes: ErrorCode[]): { [ERRORS.internal.status]: ReturnType<typeof failure> } {
  const byStatus = Map.groupBy(new Set([...codes, ...EVERYWHERE]), (code) => ERRORS[code].status);
  return {
    ...Object.fromEntries([...byStatus].map(([status, those]) => [status, failure(...those)])),
    [ERRORS.internal.status]: failure("internal"),
  };
}
