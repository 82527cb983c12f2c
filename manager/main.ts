import { readFile } from "node:fs/promises";
import { destination, pino } from "pino";
import { z } from "zod";
import { errorText } from "#contract/errors.ts";
import { ConfigError, managerEnvSchema, managerSettings, parseEnv, parseKeyFile } from "./config.ts";
import { StaticBackend } from "./fleet/static-backend.ts";
import { startManager } from "./start-manager.ts";
import { untilStopped } from "./until-stopped.ts";

/** The manager of a static fleet, as the generated Compose file runs it. */
const envSchema = managerEnvSchema.extend({
  CONTAINER_CONFIG_FILE: z.string().min(1).default("container_config.json"),
});

async function main(): Promise<void> {
  // oxlint-disable-next-line node/no-process-env -- the one place where this process reads its environment
  const env = parseEnv(envSchema, process.env);
  const log = pino({ level: env.LOG_LEVEL }, destination(2));
  const keysFile = env.FLEET_API_KEYS_FILE;
  const settings = managerSettings(env, keysFile === undefined ? [] : await readKeyFile(keysFile));
  await using manager = await startManager(settings, new StaticBackend(env.CONTAINER_CONFIG_FILE), log);
  log.info({ url: manager.url, executors: manager.fleet.executors.length }, "manager serves");
  log.info({ signal: await untilStopped() }, "manager stops");
}

/** @throws {ConfigError} for a file that cannot be read or that holds no key: it was meant to keep others out. */
async function readKeyFile(file: string): Promise<string[]> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new ConfigError(`FLEET_API_KEYS_FILE: ${errorText(error)}`);
  });
  const keys = parseKeyFile(text);
  if (keys.length === 0) throw new ConfigError(`FLEET_API_KEYS_FILE: ${file} holds no key`);
  return keys;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}
