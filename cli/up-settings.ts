import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import type { FleetSpec } from "#compose/fleet-spec.ts";
import { parseFlags, type FoundPath } from "#compose/parse-flags.ts";
import { parseInteger } from "#compose/parse-limits.ts";
import { Problems } from "#compose/parsed.ts";
import { errorText } from "#contract/errors.ts";
import {
  ConfigError,
  managerEnvSchema,
  managerSettings,
  parseEnv,
  parseKeyFile,
  type ManagerEnv,
} from "#manager/config.ts";
import type { ManagerSettings } from "#manager/start-manager.ts";
import { usageError } from "./cli-error.ts";
import type { Environment } from "./cli-context.ts";
import type { UpFlags } from "./up-flags.ts";

const KEYS_FILE = "--api-key-file or FLEET_API_KEYS_FILE";

/** What `fleet up` is to start. */
export interface UpSettings {
  spec: FleetSpec;
  manager: ManagerSettings;
  logLevel: ManagerEnv["LOG_LEVEL"];
}

/**
 * Settings from flags and the manager's environment variables; flags win.
 *
 * @throws {CliError} with every problem of every flag and variable
 */
export async function readUpSettings(
  flags: UpFlags,
  env: Environment,
  fleetName: string,
): Promise<UpSettings> {
  const problems = new Problems();
  const spec = parseFlags(
    { ...flags, output: "-", network: "none", managerPort: "5000", publish: "127.0.0.1" },
    {
      projectName: fleetName,
      buildContext: ".",
      configFile: "container_config.json",
      outputProblems: [],
      mountableVolumes: await findPath(flags.mountableVolumes),
      mountableVolumeSaveto: await findPath(flags.mountableVolumeSaveto),
      envFile: await findPath(flags.envFile),
      envFileText: await readFile(flags.envFile ?? "", "utf8").catch(() => ""),
    },
  );
  if (!spec.ok) problems.list.push(...spec.problems);
  const port = problems.takeOptional("--port", flags.port, (text) => parseInteger(text, "port", 0, 65_535));
  const managerEnv = readManagerEnv(
    {
      ...env,
      ...(flags.host === undefined ? {} : { FLEET_HOST: flags.host }),
      ...(flags.port === undefined ? {} : { FLEET_PORT: port === undefined ? undefined : String(port) }),
      ...(flags.allocation === undefined ? {} : { FLEET_ALLOCATION: flags.allocation }),
      ...(flags.apiKeyFile === undefined ? {} : { FLEET_API_KEYS_FILE: flags.apiKeyFile }),
    },
    problems,
  );
  const manager = managerEnv && (await readManagerSettings(managerEnv, problems));
  if (problems.list.length > 0 || !spec.ok || !manager) throw usageError(problems.list);
  return { spec: spec.value, manager, logLevel: managerEnv.LOG_LEVEL };
}

function readManagerEnv(env: Environment, problems: Problems): ManagerEnv | undefined {
  try {
    return parseEnv(managerEnvSchema, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.list.push(error.message);
    return undefined;
  }
}

async function readManagerSettings(
  env: ManagerEnv,
  problems: Problems,
): Promise<ManagerSettings | undefined> {
  const file = env.FLEET_API_KEYS_FILE;
  try {
    const text = file === undefined ? "" : await readFile(file, "utf8");
    const keys = parseKeyFile(text);
    if (file !== undefined && keys.length === 0) problems.add(KEYS_FILE, `${file} holds no key`);
    return managerSettings(env, keys);
  } catch (error) {
    if (error instanceof ConfigError) problems.list.push(error.message);
    else problems.add(KEYS_FILE, `cannot read ${file}: ${errorText(error)}`);
    return undefined;
  }
}

async function findPath(path: string | undefined): Promise<FoundPath | undefined> {
  if (path === undefined) return undefined;
  const stats = await stat(path).catch(() => undefined);
  const kind = stats === undefined ? "missing" : stats.isDirectory() ? "directory" : "file";
  return { path, source: resolve(path), kind };
}
