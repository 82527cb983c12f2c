import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { FleetSpec } from "#compose/fleet-spec.ts";
import { parseFlags, type FoundPath } from "#compose/parse-flags.ts";
import { parseInteger } from "#compose/parse-limits.ts";
import { invalid, Problems, valid, type Parsed } from "#compose/parsed.ts";
import { ConfigError } from "#manager/config-error.ts";
import { managerEnvSchema, managerSettings, parseEnv, type ManagerEnv } from "#manager/config.ts";
import { readSettingsFiles } from "#manager/settings-files.ts";
import type { ManagerSettings } from "#manager/start-manager.ts";
import { usageError } from "./cli-error.ts";
import type { Environment } from "./cli-context.ts";
import type { DataDir } from "./data-dir.ts";
import { findPath } from "./find-path.ts";
import { problemsOfMaking } from "./submission-directories.ts";
import type { UpFlags } from "./up-flags.ts";

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
  dataDir: DataDir,
): Promise<UpSettings> {
  const problems = new Problems();
  const submissions = flags.mountableVolumeSaveto;
  const submissionProblems = submissions === undefined ? [] : await problemsOfMaking(submissions);
  const spec = parseFlags(
    { ...flags, output: "-", network: "none", managerPort: "5000", publish: "127.0.0.1" },
    {
      projectName: dataDir.fleetName,
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
  const given = variablesOf({ ...flags, port: port === undefined ? undefined : String(port) });
  const ofFlags = Object.fromEntries(given.map(({ name, value }) => [name, value]));
  const manager = await readManager({ ...env, ...ofFlags, FLEET_DATA_DIR: dataDir.path });
  if (!manager.ok) problems.list.push(...manager.problems.map((problem) => nameFlags(problem, given)));
  if (problems.list.length > 0 || !spec.ok || !manager.ok) throw usageError(problems.list);
  return { spec: spec.value, ...manager.value };
}

/** A variable of the manager that a flag sets. */
interface GivenVariable {
  name: string;
  flag: string;
  value: string;
}

function variablesOf(flags: UpFlags): GivenVariable[] {
  const all: [name: string, flag: string, value: string | undefined][] = [
    ["FLEET_HOST", "--host", flags.host],
    ["FLEET_PORT", "--port", flags.port],
    ["FLEET_ALLOCATION", "--allocation", flags.allocation],
    ["FLEET_IDLE_TIMEOUT", "--idle-timeout", flags.idleTimeout],
    ["FLEET_NAMESPACE", "--namespace", flags.namespace],
    ["FLEET_CONFIG_FILE", "--config", flags.config],
    ["FLEET_API_KEYS_FILE", "--api-key-file", flags.apiKeyFile],
    ["AUTO_CREATE", "--auto-create", flags.autoCreate ? "1" : undefined],
  ];
  return all.flatMap(([name, flag, value]) => (value === undefined ? [] : [{ name, flag, value }]));
}

/** The manager speaks of variables, where the user may have typed the flag. */
function nameFlags(problem: string, given: readonly GivenVariable[]): string {
  return problem.replace(
    /^[A-Z_]+(?=[:=])/,
    (variable) => given.find(({ name }) => name === variable)?.flag ?? variable,
  );
}

async function readManager(env: Environment): Promise<Parsed<Omit<UpSettings, "spec">>> {
  try {
    const read = parseEnv(managerEnvSchema, env);
    return valid({ manager: managerSettings(read, await readSettingsFiles(read)), logLevel: read.LOG_LEVEL });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return invalid(...error.message.replace(/^bad environment:\n/, "").split("\n"));
  }
}

async function findIfGiven(path: string | undefined): Promise<FoundPath | undefined> {
  return path === undefined ? undefined : await findPath(path, resolve(path));
}
