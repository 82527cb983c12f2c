import { z } from "zod";

/** Container port of an executor, unless `PORT` says otherwise. */
export const EXECUTOR_PORT = 8432;

/** `GET /health`. An executor of another maker has only `status`. */
export const healthSchema = z.object({ status: z.literal("ok"), boot_id: z.string().optional() });
export type Health = z.infer<typeof healthSchema>;

/** States of a kernel as `/health?verbose` tells them. */
export const kernelStateSchema = z.enum(["starting", "loading", "idle", "busy", "restarting", "dead"]);
export type KernelState = z.infer<typeof kernelStateSchema>;

/** `GET /health?verbose`: what is known without asking the kernel. Memory in bytes; `null` where it cannot be told. */
export const verboseHealthSchema = z.object({
  ...healthSchema.shape,
  kernel: z.object({
    id: z.string().nullable(),
    name: z.string(),
    state: kernelStateSchema,
    reason: z.string().optional(),
  }),
  memory: z.object({ used: z.number().nullable(), limit: z.number().nullable() }),
  /** Executions that have begun, and those that wait for their turn. */
  executions: z.number().int(),
  waiting: z.number().int(),
  restarts: z.number().int(),
});
export type VerboseHealth = z.infer<typeof verboseHealthSchema>;

/** `GET /ready`. */
export const readySchema = z.object({ ready: z.boolean(), reason: z.string().optional() });
export type Ready = z.infer<typeof readySchema>;

/** `POST /restart`. */
export const restartReplySchema = z.object({ status: z.enum(["restarting", "already_restarting"]) });
export type RestartReply = z.infer<typeof restartReplySchema>;

/** `GET /restart-status`. */
export const restartStatusSchema = z.object({ restarting: z.boolean() });
export type RestartStatus = z.infer<typeof restartStatusSchema>;

/** `POST /interrupt`: `idle` when nothing ran. */
export const interruptReplySchema = z.object({ status: z.enum(["interrupting", "idle"]) });
export type InterruptReply = z.infer<typeof interruptReplySchema>;

/** `GET /code-info`: which mounted files were executed in the kernel's global scope, which raised. */
export const codeInfoSchema = z.object({
  workspace_folder: z.string(),
  executed_files: z.array(z.string()),
  failed: z.array(z.object({ file: z.string(), error: z.string() })),
});
export type CodeInfo = z.infer<typeof codeInfoSchema>;
