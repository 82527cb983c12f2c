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
