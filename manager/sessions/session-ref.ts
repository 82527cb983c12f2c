import { executorNumberSchema, sessionIdSchema, type ExecutorNumber, type SessionId } from "#contract/ids.ts";
import { ServiceError } from "#contract/errors.ts";

/** How a client names a session: by the number of its executor, or by its id. */
export type SessionRef = { executorNumber: ExecutorNumber } | { sessionId: SessionId };

/** @throws {ServiceError} `unknown_container` for what is neither a number nor a session id. */
export function parseSessionRef(text: string): SessionRef {
  const sessionId = sessionIdSchema.safeParse(text);
  if (sessionId.success) return { sessionId: sessionId.data };
  const executorNumber = /^\d{1,9}$/.test(text) ? executorNumberSchema.safeParse(Number(text)) : undefined;
  if (executorNumber?.success) return { executorNumber: executorNumber.data };
  throw new ServiceError("unknown_container", `Container ${text} not found`);
}
