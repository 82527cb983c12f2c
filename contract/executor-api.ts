import { z } from "zod";

/** Container port of an executor, unless `PORT` says otherwise. */
export const EXECUTOR_PORT = 8432;

/**
 * How an executor is cleared of a tenant. `kernel`: with a new kernel, whose user's processes and files are gone.
 * `container`: everything is gone, since the executor's process ends and its container starts again.
 */
export const resetKindSchema = z.enum(["kernel", "container"]);
export type ResetKind = z.infer<typeof resetKindSchema>;

/** `GET /health`. An executor of another maker has only `status`. */
export const healthSchema = z.object({
  status: z.literal("ok"),
  /** New at every start of the process. */
  boot_id: z.string().optional(),
  /** The ways in which it can be reset; `kernel` alone where it does not tell. */
  resets: z.array(resetKindSchema).optional(),
});
export type Health = z.infer<typeof healthSchema>;

/**
 * Header of a request that is meant for one process of the executor alone, whose `boot_id` it holds: another one has
 * nothing of what the request counts on, and refuses it.
 */
export const BOOT_ID_HEADER = "x-boot-id";

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

/** Environment variables of a session. Source of the names: POSIX, which has no `=` and no NUL in them. */
export const sessionEnvSchema = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/),
  z.string().regex(/^[^\0]*$/),
);
export type SessionEnv = z.infer<typeof sessionEnvSchema>;

/**
 * Body of `POST /restart`, which may be left out. `env` are variables that this kernel and those after it have on top
 * of the executor's own, until another restart names them anew: `{}` takes them away.
 */
export const restartRequestSchema = z.object({ env: sessionEnvSchema.optional() });
export type RestartRequest = z.infer<typeof restartRequestSchema>;

/** `POST /restart`. `env`: names of the variables that the new kernel has; absent where none can be given. */
export const restartReplySchema = z.object({
  status: z.enum(["restarting", "already_restarting"]),
  env: z.array(z.string()).optional(),
});
export type RestartReply = z.infer<typeof restartReplySchema>;

/** `POST /exit`: the executor's process ends, and its container starts again on empty file systems. */
export const exitReplySchema = z.object({ status: z.literal("exiting") });
export type ExitReply = z.infer<typeof exitReplySchema>;

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
