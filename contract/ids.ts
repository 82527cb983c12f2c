import { randomBytes } from "node:crypto";
import { z } from "zod";

export const sessionIdSchema = z
  .string()
  .regex(/^ses_[0-9a-f]{24}$/)
  .brand<"SessionId">();
export type SessionId = z.infer<typeof sessionIdSchema>;

/** Number of an executor in its fleet, from 0. The API calls it a container id. */
export const executorNumberSchema = z.int().nonnegative().brand<"ExecutorNumber">();
export type ExecutorNumber = z.infer<typeof executorNumberSchema>;

/** A session id that was never used before: 96 random bits. */
export function newSessionId(): SessionId {
  return sessionIdSchema.parse(`ses_${randomBytes(12).toString("hex")}`);
}

/** Where a name counts. */
export const namespaceSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "Invalid namespace: letters, digits, _, . and -, at most 64");

/** A session's name of its client's choice. What would be taken for an executor number or a session id is none. */
export const sessionNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "Invalid name: letters, digits, _, . and -, at most 64")
  .refine((name) => !/^(\d+|ses_.*)$/.test(name), "Invalid name: that is an executor number or a session id");

/** A session's name in its namespace, written `name@namespace`. */
export interface SessionName {
  name: string;
  namespace: string;
}

export function formatSessionName({ name, namespace }: SessionName): string {
  return `${name}@${namespace}`;
}
