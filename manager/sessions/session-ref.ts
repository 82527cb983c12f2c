import { z } from "zod";
import { invalidRequest } from "#contract/errors.ts";
import {
  executorNumberSchema,
  namespaceSchema,
  sessionIdSchema,
  sessionNameSchema,
  type ExecutorNumber,
  type SessionId,
  type SessionName,
} from "#contract/ids.ts";

/** How a client names a session: by the number of its executor, by its id, or by its name in a namespace. */
export type SessionRef =
  { executorNumber: ExecutorNumber } | { sessionId: SessionId } | { name: SessionName };

const nameSchema = z.object({ name: sessionNameSchema, namespace: namespaceSchema });

/**
 * Reads a reference as a client wrote it. A name alone is in the manager's own namespace.
 *
 * @throws {ServiceError} `invalid_request` for what cannot be a reference
 */
export function parseSessionRef(text: string, defaultNamespace: string): SessionRef {
  const sessionId = sessionIdSchema.safeParse(text);
  if (sessionId.success) return { sessionId: sessionId.data };
  if (/^\d{1,9}$/.test(text)) return { executorNumber: executorNumberSchema.parse(Number(text)) };
  return { name: parseSessionName(text, defaultNamespace) };
}

/** @throws {ServiceError} `invalid_request` */
export function parseSessionName(text: string, defaultNamespace: string): SessionName {
  const at = text.indexOf("@");
  const candidate =
    at < 0
      ? { name: text, namespace: defaultNamespace }
      : { name: text.slice(0, at), namespace: text.slice(at + 1) };
  const parsed = nameSchema.safeParse(candidate);
  if (parsed.success) return parsed.data;
  throw invalidRequest(parsed.error, "path");
}
