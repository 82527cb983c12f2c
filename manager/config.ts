import { z } from "zod";
import { namespaceSchema } from "#contract/ids.ts";
import { isLoopback } from "#contract/loopback.ts";
import { MANAGER_PORT } from "#contract/manager-api.ts";
import { ConfigError } from "./config-error.ts";
import type { FleetConfig } from "./fleet-config.ts";
import { toMs } from "./sessions/session-terms.ts";
import type { ManagerSettings } from "./start-manager.ts";

/** How long an execution, or a session that is opened for it, waits for its executor. */
const START_WAIT_MS = 60_000;
/** With it the tries of a look-up fill its time. */
const FIRST_BACK_OFF_MS = 3;

const positiveInt = z.coerce.number().int().positive();
const seconds = z.coerce
  .number()
  .min(0.001, "Too small: at least 0.001 s")
  .max(365 * 86_400);
const names = z.string().transform((text) => text.split(/[\s,]+/).filter((name) => name !== ""));

/** The manager's environment variables. The command `fleet up` reads the same ones. */
export const managerEnvSchema = z.object({
  FLEET_HOST: z.string().min(1).default("127.0.0.1"),
  FLEET_PORT: z.coerce.number().int().min(0).max(65_535).default(MANAGER_PORT),
  /** Address on which the port is published to others, where that is not `FLEET_HOST`: in a container. */
  FLEET_PUBLISHED_ON: z.string().min(1).optional(),
  FLEET_API_KEYS: names.refine((keys) => keys.length > 0, "it holds no key").default([]),
  FLEET_API_KEYS_FILE: z.string().min(1).optional(),
  FLEET_ALLOWED_HOSTS: names.default([]),
  /** Folder for what has to outlive the manager. */
  FLEET_DATA_DIR: z.string().min(1).optional(),
  /** The fleet's config: `bootstrap:`. */
  FLEET_CONFIG_FILE: z.string().min(1).optional(),
  FLEET_NAMESPACE: namespaceSchema.default("default"),
  AUTO_CREATE: z.enum(["0", "1"]).default("0"),
  FLEET_LOOKUP_TRIES: positiveInt.max(1000).default(12),
  /** Seconds that all tries take at most. */
  FLEET_LOOKUP_TIMEOUT: z.coerce.number().min(0).max(60).default(0.5),
  FLEET_ALLOCATION: z.enum(["open", "strict"]).default("open"),
  FLEET_IDLE_TIMEOUT: seconds.default(1800),
  FLEET_MAX_QUEUED: positiveInt.default(32),
  FLEET_MAX_WAITING: positiveInt.default(256),
  FLEET_MAX_CONNECTIONS: positiveInt.default(1024),
  MAX_BODY_BYTES: positiveInt.default(32 * 1024 * 1024),
  LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
});
export type ManagerEnv = z.infer<typeof managerEnvSchema>;

/**
 * Reads a process's environment by a schema. Empty values count as not given.
 *
 * @throws {ConfigError} which lists every bad variable.
 */
export function parseEnv<T extends z.ZodType>(
  schema: T,
  env: Readonly<Record<string, string | undefined>>,
): z.infer<T> {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ""),
  );
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    const name = issue.path.join(".");
    return `${name}=${JSON.stringify(given[name])}: ${issue.message}`;
  });
  throw new ConfigError(`bad environment:\n${lines.join("\n")}`);
}

/**
 * Settings of a manager from its environment, with what the files hold that it names: `keysOfFile` are the keys of
 * `FLEET_API_KEYS_FILE`, `config` is that of `FLEET_CONFIG_FILE`.
 *
 * @throws {ConfigError} when the manager would be open to others without a key.
 */
export function managerSettings(
  env: ManagerEnv,
  {
    keysOfFile = [],
    config = { bootstrap: [] },
  }: { keysOfFile?: readonly string[]; config?: FleetConfig } = {},
): ManagerSettings {
  const apiKeys = [...env.FLEET_API_KEYS, ...keysOfFile];
  const { bootstrap } = config;
  const publishedOn = env.FLEET_PUBLISHED_ON ?? env.FLEET_HOST;
  if (apiKeys.length === 0 && !isLoopback(publishedOn)) {
    throw new ConfigError(
      `refused to serve on ${publishedOn} without API keys: whoever reaches the port could run code here. ` +
        `Set FLEET_API_KEYS or FLEET_API_KEYS_FILE, or serve on 127.0.0.1.`,
    );
  }
  return {
    host: env.FLEET_HOST,
    port: env.FLEET_PORT,
    apiKeys,
    allowedHosts: env.FLEET_ALLOWED_HOSTS,
    allocation: env.FLEET_ALLOCATION,
    idleTimeoutMs: toMs(env.FLEET_IDLE_TIMEOUT),
    maxQueued: env.FLEET_MAX_QUEUED,
    maxWaiting: env.FLEET_MAX_WAITING,
    maxConnections: env.FLEET_MAX_CONNECTIONS,
    startWaitMs: START_WAIT_MS,
    namespace: env.FLEET_NAMESPACE,
    lookUp: {
      tries: env.FLEET_LOOKUP_TRIES,
      backOffMs: FIRST_BACK_OFF_MS,
      totalMs: toMs(env.FLEET_LOOKUP_TIMEOUT),
    },
    autoCreate: env.AUTO_CREATE === "1",
    createWaitMs: START_WAIT_MS,
    bootstrap,
    ...(env.FLEET_DATA_DIR === undefined ? {} : { dataDir: env.FLEET_DATA_DIR }),
    maxBodyBytes: env.MAX_BODY_BYTES,
  };
}
