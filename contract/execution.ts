import { z } from "zod";
import { outputSchema } from "./outputs.ts";

/**
 * How an execution ended.
 *
 * `output_limit` means that the code ran to its end but printed more than the output cap, so that `outputs` is cut
 * (head and tail are there); a run that was cut and also failed keeps the outcome of its failure and says
 * `truncated`.
 */
export const outcomeSchema = z.enum([
  "ok",
  "error",
  "timed_out",
  "interrupted",
  "output_limit",
  "oom_killed",
  "kernel_died",
  "executor_lost",
  "restarted",
]);
export type Outcome = z.infer<typeof outcomeSchema>;

/** What happens to a run whose client goes away before its end. */
export const onDisconnectSchema = z.enum(["interrupt", "continue"]);
export type OnDisconnect = z.infer<typeof onDisconnectSchema>;

/** Body of `POST /execute`. */
export const executeRequestSchema = z.object({
  code: z.string(),
  /** Seconds; capped by the executor's own maximum. */
  timeout: z
    .number()
    .positive()
    .max(86_400 * 7)
    .optional(),
  silent: z.boolean().default(false),
  store_history: z.boolean().default(true),
  /** `error`: `input()` raises at once. It is the only policy so far. */
  stdin: z.enum(["error"]).default("error"),
  on_disconnect: onDisconnectSchema.default("interrupt"),
});
export type ExecuteRequest = z.infer<typeof executeRequestSchema>;

/** The end of an execution: everything in the reply but its outputs. */
export const executionEndSchema = z.object({
  outcome: outcomeSchema,
  execution_count: z.number().int().nullable(),
  duration_ms: z.number().nonnegative(),
  timed_out: z.literal(true).optional(),
  truncated: z.literal(true).optional(),
  /** What became of the state, and the way out: for people, where the outputs have to stay as they are. */
  hint: z.string().optional(),
  kernel: z.object({
    id: z.string(),
    /** The state of earlier executions was lost: this run has a fresh kernel. */
    restarted: z.literal(true).optional(),
  }),
});
export type ExecutionEnd = z.infer<typeof executionEndSchema>;

/** Reply of `POST /execute`. */
export const executeReplySchema = z.object({ outputs: z.array(outputSchema), ...executionEndSchema.shape });
export type ExecuteReply = z.infer<typeof executeReplySchema>;

/**
 * The reply of any executor, also of another maker's: only `outputs` has to be there, with the three basic types;
 * output types that this version does not know pass through as they are.
 */
export const foreignExecuteReplySchema = z.looseObject({
  outputs: z.array(z.looseObject({ type: z.string() })),
});
