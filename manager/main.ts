import { destination, pino } from "pino";
import { z } from "zod";
import { ConfigError } from "./config-error.ts";
import { managerEnvSchema, managerSettings, parseEnv } from "./config.ts";
import { sendConsoleTo } from "./console-to-log.ts";
import { StaticBackend } from "./fleet/static-backend.ts";
import { readSettingsFiles } from "./settings-files.ts";
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
  using _ = sendConsoleTo(log);
  const settings = managerSettings(env, await readSettingsFiles(env));
  if (settings.dataDir === undefined) log.warn("FLEET_DATA_DIR is not set: sessions end with this process");
  await using manager = await startManager(settings, new StaticBackend(env.CONTAINER_CONFIG_FILE), log);
  log.info({ url: manager.url, executors: manager.fleet.executors.length }, "manager serves");
  log.info({ signal: await untilStopped() }, "manager stops");
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}
