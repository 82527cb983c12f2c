import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { FleetSpec } from "#compose/fleet-spec.ts";
import { parseFlags, type FoundPath } from "#compose/parse-flags.ts";
import { parseInteger } from "#compose/parse-limits.ts";
import { Problems } from "#compose/parsed.ts";
import {
  ConfigError,
  managerEnvSchema,
  managerSettings,
  parseEnv,
  type ManagerEnv,
} from "#manager/config.ts";
import { readKeyFile } from "#manager/key-file.ts";
import type { ManagerSettings } from "#manager/start-manager.ts";
import { usageError } from "./cli-error.ts";
import type { Environment } from "./cli-context.ts";
import { findPath } from "./find-path.ts";
import { problemsOfMaking } from "./submission-directories.ts";
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
  const submissions = flags.mountableVolumeSaveto;
  const submissionProblems = submissions === undefined ? [] : await problemsOfMaking(submissions);
  const spec = parseFlags(
    { ...flags, output: "-", network: "none", managerPort: "5000", publish: "127.0.0.1" },
    {
      projectName: fleetName,
      buildContext: ".",
      configFile: "container_config.json",
      outputProblems: submissionProblems.map((problem) => ({ flag: "--mountable-volume-saveto", problem })),
      mountableVolumes: await findIfGiven(flags.mountableVolumes),
      mountableVolumeSaveto: await findIfGiven(flags.mountableVolumeSaveto),
      envFile: await findIfGiven(flags.envFile),
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
    return managerSettings(env, file === undefined ? [] : await readKeyFile(file, KEYS_FILE));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.list.push(error.message);
    return undefined;
  }
}

async function findIfGiven(path: string | undefined): Promise<FoundPath | undefined> {
  return path === undefined ? undefined : await findPath(path, resolve(path));
}
