import { z } from "zod";
import { EXECUTOR_PORT } from "#contract/executor-api.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

const MAX_SECONDS = 86_400 * 7;

/** A number of seconds, e.g. `3` or `0.5`. */
const seconds = z.coerce.number().positive().max(MAX_SECONDS);
const bytes = z.coerce.number().int().min(KIB);
const nonEmpty = z.string().min(1);

const kernelUserSchema = z
  .string()
  .regex(/^\d+:\d+$/, "Invalid user: expected uid:gid in numbers, such as 10001:10001")
  .transform((text) => {
    const [uid, gid] = text.split(":").map(Number);
    return { uid: uid ?? 0, gid: gid ?? 0 };
  });

const environmentSchema = z
  .object({
    PORT: z.coerce.number().int().min(0).max(65_535).optional(),
    HOST: nonEmpty.default("127.0.0.1"),
    EXECUTOR_SOCKET: nonEmpty.optional(),
    EXECUTOR_TOKEN: nonEmpty.optional(),
    EXECUTOR_STOP_WITH_STDIN: z.literal("1").optional(),
    EXECUTOR_ORPHAN_GRACE: z.coerce.number().min(0).max(MAX_SECONDS).default(0),
    CONTAINER_RESTARTS: z.literal("1").optional(),
    WORKSPACE_FOLDER: nonEmpty.default("/code"),
    SUBMISSION_DIR: nonEmpty.optional(),
    WORKING_DIR: nonEmpty.optional(),
    EXECUTION_TIMEOUT: seconds.default(3),
    MAX_EXECUTION_TIMEOUT: seconds.default(3600),
    CODE_LOADING_TIMEOUT: seconds.default(60),
    MAX_OUTPUT_BYTES: bytes.default(10 * MIB),
    MAX_BODY_BYTES: bytes.default(32 * MIB),
    KERNEL_NAME: nonEmpty.default("python3"),
    KERNEL_PYTHON: nonEmpty.default("python3"),
    KERNEL_USER: kernelUserSchema.optional(),
    LOG_LEVEL: z.enum(["fatal", "error", "warn", "info", "debug", "trace", "silent"]).default("info"),
  })
  .refine((env) => env.EXECUTION_TIMEOUT <= env.MAX_EXECUTION_TIMEOUT, {
    path: ["EXECUTION_TIMEOUT"],
    message: "Too big: must not exceed MAX_EXECUTION_TIMEOUT",
  });

interface TcpAddress {
  port: number;
  host: string;
}

/** Settings of one executor, in the units that the code works with. */
export interface ExecutorConfig {
  /** Where the server listens: a Unix socket when there is a path, else TCP. */
  listen: { path: string } | TcpAddress;
  /** Where it listens besides: on TCP, when a port is given together with a socket. */
  listenAlso: TcpAddress | undefined;
  token: string | undefined;
  /** Whether the end of standard input, which whoever started this process holds open, ends this process, too. */
  stopWithStdin: boolean;
  /** How long after that end this process waits for another caller who knows the token. */
  orphanGraceMs: number;
  /** Whether this process is its container's, which starts again when the process ends. */
  containerRestarts: boolean;
  workspaceFolder: string;
  defaultTimeoutMs: number;
  maxTimeoutMs: number;
  codeLoadingTimeoutMs: number;
  maxOutputBytes: number;
  maxBodyBytes: number;
  kernelName: string;
  kernelPython: string;
  kernelUser: { uid: number; gid: number } | undefined;
  /** The kernel's working directory; undefined for a temporary one. */
  workingDir: string | undefined;
  /** Environment of the kernel: the executor's own without its secrets. */
  kernelEnv: Record<string, string>;
  logLevel: string;
}

/** The start cannot go on: `message` names every bad variable. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/**
 * Reads the settings from an environment. A variable that is set to nothing counts as not set.
 *
 * @throws {ConfigError} that lists every bad variable, without the values of secrets.
 */
export function readConfig(environment: Record<string, string | undefined>): ExecutorConfig {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
  const parsed = environmentSchema.safeParse(set);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `  ${issue.path.join(".")}: ${issue.message}`);
    throw new ConfigError(`Bad environment variables:\n${lines.join("\n")}`, { cause: parsed.error });
  }
  const env = parsed.data;
  const tcp = { port: env.PORT ?? EXECUTOR_PORT, host: env.HOST };
  return {
    listen: env.EXECUTOR_SOCKET === undefined ? tcp : { path: env.EXECUTOR_SOCKET },
    listenAlso: env.EXECUTOR_SOCKET !== undefined && env.PORT !== undefined ? tcp : undefined,
    token: env.EXECUTOR_TOKEN,
    stopWithStdin: env.EXECUTOR_STOP_WITH_STDIN !== undefined,
    orphanGraceMs: env.EXECUTOR_ORPHAN_GRACE * 1000,
    containerRestarts: env.CONTAINER_RESTARTS !== undefined,
    workspaceFolder: env.WORKSPACE_FOLDER,
    defaultTimeoutMs: env.EXECUTION_TIMEOUT * 1000,
    maxTimeoutMs: env.MAX_EXECUTION_TIMEOUT * 1000,
    codeLoadingTimeoutMs: env.CODE_LOADING_TIMEOUT * 1000,
    maxOutputBytes: env.MAX_OUTPUT_BYTES,
    maxBodyBytes: env.MAX_BODY_BYTES,
    kernelName: env.KERNEL_NAME,
    kernelPython: env.KERNEL_PYTHON,
    kernelUser: env.KERNEL_USER,
    workingDir: env.WORKING_DIR,
    kernelEnv: kernelEnvironment(environment),
    logLevel: env.LOG_LEVEL,
  };
}

/** What is the server's alone: user code neither needs it nor may learn the token. */
const SERVER_ONLY = new Set([
  "EXECUTOR_TOKEN",
  "EXECUTOR_SOCKET",
  "EXECUTOR_STOP_WITH_STDIN",
  "EXECUTOR_ORPHAN_GRACE",
  "CONTAINER_RESTARTS",
  "NODE_OPTIONS",
]);

function kernelEnvironment(environment: Record<string, string | undefined>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && !SERVER_ONLY.has(name)) kept[name] = value;
  }
  return kept;
}
