import { isIP } from "node:net";
import { z } from "zod";
import { parseKeyFile } from "#contract/key-file.ts";
import { checkTogether } from "./check-together.ts";
import { fleetSpecSchema, networkSchema, type FleetSpec, type Network } from "./fleet-spec.ts";
import { parseEnvironment, parseEnvironmentFile, PRESETS, type Environment } from "./parse-environment.ts";
import { parseGpuIds } from "./parse-gpus.ts";
import { parseInteger, parsePort } from "./parse-limits.ts";
import { parseResets } from "./parse-resets.ts";
import { MAX_EXECUTORS, parseTypes, totalCount, unknownTypeProblems, type TypeCount } from "./parse-types.ts";
import { readLimits } from "./read-limits.ts";
import { invalid, Problems, quoted, valid, type Parsed } from "./parsed.ts";

/** The flags as they were typed. */
export const generatorFlagsSchema = z.object({
  numContainers: z.string().optional(),
  types: z.string().optional(),
  reset: z.string().optional(),
  output: z.string(),
  configFile: z.string().optional(),
  mountableVolumes: z.string().optional(),
  mountableVolumeSaveto: z.string().optional(),
  env: z.array(z.string()),
  envFile: z.string().optional(),
  preset: z.string().optional(),
  executionTimeout: z.string().optional(),
  memory: z.string().optional(),
  cpus: z.string().optional(),
  pids: z.string().optional(),
  gpuIds: z.string().optional(),
  network: z.string(),
  startPort: z.string().optional(),
  managerPort: z.string(),
  publish: z.string(),
  apiKeyFile: z.string().optional(),
  runtime: z.string().optional(),
});
export type GeneratorFlags = z.infer<typeof generatorFlagsSchema>;

/** A path of a flag: as it was typed, as the Compose file names it, and what is there. */
export interface FoundPath {
  path: string;
  source: string;
  kind: "file" | "directory" | "missing";
}

/** What only a look at the machine can tell about the flags. */
export interface Facts {
  projectName: string;
  buildContext: string;
  configFile: string;
  /** Of the files to write: what would stop that. */
  outputProblems: readonly { flag: string; problem: string }[];
  mountableVolumes?: FoundPath | undefined;
  mountableVolumeSaveto?: FoundPath | undefined;
  apiKeyFile?: FoundPath | undefined;
  /** Undefined where it cannot be read here: the manager, another user, may. */
  apiKeyFileText?: string | undefined;
  envFile?: FoundPath | undefined;
  envFileText: string;
}

/** Reads all flags. Every problem of every flag is told, and every problem of flags that do not fit together. */
export function parseFlags(flags: GeneratorFlags, facts: Facts): Parsed<FleetSpec> {
  const problems = new Problems();
  for (const { flag, problem } of facts.outputProblems) problems.add(flag, problem);
  const types = readTypes(flags, problems);
  const draft = {
    name: facts.projectName,
    types,
    resets: problems.takeOptional("--reset", flags.reset, (text) => parseResets(text, types)) ?? {},
    network: problems.take("--network", parseNetwork(flags.network)),
    ...readLimits(flags, readEnvironment(flags, facts, problems), problems),
    gpuIds: problems.takeOptional("--gpu-ids", flags.gpuIds, parseGpuIds),
    codeDirectory: readPath("--mountable-volumes", facts.mountableVolumes, ["directory"], problems),
    submissionsDirectory: readPath(
      "--mountable-volume-saveto",
      facts.mountableVolumeSaveto,
      ["directory", "missing"],
      problems,
    ),
    startPort: problems.takeOptional("--start-port", flags.startPort, parsePort),
    runtime: problems.takeOptional("--runtime", flags.runtime, parseRuntime),
    manager: {
      port: problems.take("--manager-port", parsePort(flags.managerPort)),
      publish: problems.take("--publish", parseAddress(flags.publish)),
      apiKeyFile: readKeyFilePath(facts, problems),
    },
    buildContext: facts.buildContext,
    configFile: facts.configFile,
  };
  checkTogether({ ...draft, hasApiKeyFile: flags.apiKeyFile !== undefined }, problems);
  return problems.list.length > 0 ? invalid(...problems.list) : valid(fleetSpecSchema.parse(draft));
}

function readTypes(flags: GeneratorFlags, problems: Problems): TypeCount[] | undefined {
  const wanted = problems.takeOptional("--num-containers", flags.numContainers, (text) =>
    parseInteger(text, "number of executors", 1, MAX_EXECUTORS),
  );
  if (flags.types === undefined) return [{ type: "python", count: wanted ?? 2 }];
  const types = problems.take("--types", parseTypes(flags.types));
  if (!types) return undefined;
  for (const problem of unknownTypeProblems(types)) problems.add("--types", problem);
  const total = totalCount(types);
  if (total > MAX_EXECUTORS) problems.add("--types", `${total} executors are more than ${MAX_EXECUTORS}`);
  if (wanted !== undefined && wanted !== total)
    problems.add("--num-containers", `${wanted} is not the sum of --types, which is ${total}`);
  return types;
}

function readEnvironment(flags: GeneratorFlags, facts: Facts, problems: Problems): Environment {
  const name = flags.preset ?? "default";
  const preset = PRESETS.get(name);
  if (!preset) problems.add("--preset", `${quoted(name)} is none of ${[...PRESETS.keys()].join(", ")}`);
  readPath("--env-file", facts.envFile, ["file"], problems);
  return {
    ...preset,
    ...problems.take("--env-file", parseEnvironmentFile(facts.envFileText)),
    ...problems.take("--env", parseEnvironment(flags.env)),
  };
}

/** The manager refuses to start with a file that holds no key. */
function readKeyFilePath(facts: Facts, problems: Problems): string | undefined {
  const source = readPath("--api-key-file", facts.apiKeyFile, ["file"], problems);
  const { apiKeyFile, apiKeyFileText } = facts;
  if (apiKeyFile && apiKeyFileText !== undefined && parseKeyFile(apiKeyFileText).length === 0)
    problems.add("--api-key-file", `${quoted(apiKeyFile.path)} holds no key`);
  return source;
}

function readPath(
  flag: string,
  found: FoundPath | undefined,
  wanted: readonly FoundPath["kind"][],
  problems: Problems,
): string | undefined {
  if (found === undefined || wanted.includes(found.kind)) return found?.source;
  const problem =
    found.kind === "missing" ? "does not exist" : `is a ${found.kind}, not a ${wanted.join(" or ")}`;
  problems.add(flag, `${quoted(found.path)} ${problem}`);
  return undefined;
}

function parseNetwork(text: string): Parsed<Network> {
  const parsed = networkSchema.safeParse(text);
  return parsed.success
    ? valid(parsed.data)
    : invalid(`${quoted(text)} is none of ${networkSchema.options.join(", ")}`);
}

function parseAddress(text: string): Parsed<string> {
  return isIP(text) === 0 ? invalid(`${quoted(text)} is not an IP address such as 127.0.0.1`) : valid(text);
}

function parseRuntime(text: string): Parsed<string> {
  return /^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(text)
    ? valid(text)
    : invalid(`${quoted(text)} is not a runtime's name such as runsc`);
}
