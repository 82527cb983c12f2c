import { readFile, stat } from "node:fs/promises";
import { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { CommanderError } from "commander";
import writeFileAtomic from "write-file-atomic";
import { findPath, problemsOfWriting } from "#cli/find-path.ts";
import { makeSubmissionDirectories, problemsOfMaking } from "#cli/submission-directories.ts";
import { plannedExecutors } from "#compose/fleet-spec.ts";
import { generateFleet } from "#compose/generate.ts";
import { generatorCommand } from "#compose/generator-command.ts";
import { KERNEL_USER_ID } from "#compose/isolation.ts";
import { MANAGER_UID } from "#compose/manager-service.ts";
import { generatorFlagsSchema, parseFlags, type Facts } from "#compose/parse-flags.ts";
import type { GeneratorFlags } from "#compose/parse-flags.ts";
import { projectName } from "#compose/project-name.ts";
import { toYaml } from "#compose/to-yaml.ts";

const STDOUT = "-";
const USAGE_ERROR = 2;

try {
  process.exitCode = await generate(
    generatorFlagsSchema.parse(generatorCommand().exitOverride().parse().opts()),
  );
} catch (error) {
  // Commander has said already what it did not understand; `--help` ends here, too.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE_ERROR;
  else if (isFileError(error)) {
    say(`error: ${error.message}`);
    process.exitCode = USAGE_ERROR;
  } else throw error;
}

/** Writes the files that the flags ask for, or tells every problem and writes nothing. Returns the exit code. */
async function generate(flags: GeneratorFlags): Promise<number> {
  const toStdout = flags.output === STDOUT;
  // Compose reads paths from the directory of its file, and those of a file on standard input from its own.
  const base = toStdout ? process.cwd() : dirname(resolve(flags.output));
  const configFile = flags.configFile ?? join(relative("", base), "container_config.json");
  const parsed = parseFlags(flags, await lookAround(flags, base, configFile));
  if (!parsed.ok) {
    for (const problem of parsed.problems) say(problem);
    return USAGE_ERROR;
  }
  const executors = plannedExecutors(parsed.value).length;
  const { compose, containerConfig, warnings } = generateFleet(parsed.value);
  if (flags.mountableVolumeSaveto !== undefined)
    warnings.push(...(await makeSubmissions(flags.mountableVolumeSaveto, executors)));
  if (flags.apiKeyFile !== undefined && !(await isOpenTo(MANAGER_UID, flags.apiKeyFile, 0o4)))
    warnings.push(
      `--api-key-file: the manager runs as user ${MANAGER_UID} and may not read it: chown ${MANAGER_UID} ${flags.apiKeyFile}`,
    );
  // The manager reads it as another user, so that the mode must not depend on the umask.
  await writeFileAtomic(configFile, `${JSON.stringify(containerConfig, null, 2)}\n`, { mode: 0o644 });
  if (toStdout) process.stdout.write(toYaml(compose));
  else await writeFileAtomic(flags.output, toYaml(compose));
  for (const warning of warnings) say(`warning: ${warning}`);
  say(`wrote ${toStdout ? "" : `${flags.output} and `}${configFile} for ${executors} executors`);
  return 0;
}

/** Everything about the flags that only a look at the machine tells. */
async function lookAround(flags: GeneratorFlags, base: string, configFile: string): Promise<Facts> {
  const find = async (path: string | undefined) =>
    path === undefined ? undefined : await findPath(path, composePath(path, base));
  const toStdout = flags.output === STDOUT;
  const outputProblems = toStdout ? [] : await targetProblems("--output", flags.output);
  const submissions = flags.mountableVolumeSaveto;
  const submissionProblems = submissions === undefined ? [] : await problemsOfMaking(submissions);
  return {
    projectName: projectName(basename(base), toStdout ? "" : basename(flags.output, extname(flags.output))),
    buildContext: pathFrom(base, import.meta.dirname),
    configFile: composePath(configFile, base),
    outputProblems: [
      ...outputProblems,
      // The default lies beside the output: what is wrong with that place is said already.
      ...(outputProblems.length > 0 && flags.configFile === undefined
        ? []
        : await targetProblems("--config-file", configFile)),
      ...(!toStdout && resolve(flags.output) === resolve(configFile)
        ? [{ flag: "--config-file", problem: "is the file that --output writes" }]
        : []),
      ...submissionProblems.map((problem) => ({ flag: "--mountable-volume-saveto", problem })),
    ],
    mountableVolumes: await find(flags.mountableVolumes),
    mountableVolumeSaveto: await find(flags.mountableVolumeSaveto),
    apiKeyFile: await find(flags.apiKeyFile),
    apiKeyFileText: await readFile(flags.apiKeyFile ?? "", "utf8").catch(() => undefined),
    envFile: await find(flags.envFile),
    envFileText: await readFile(flags.envFile ?? "", "utf8").catch(() => ""),
  };
}

/** A path as a Compose file in `base` names it: absolute when the user gave it so, else from that file. */
function composePath(path: string, base: string): string {
  return isAbsolute(path) ? path : pathFrom(base, path);
}

/** Begins with a dot, by which Compose tells a path from a volume's name. */
function pathFrom(base: string, path: string): string {
  const steps = relative(base, path).split(sep);
  return (steps[0] === ".." ? steps : [".", ...steps].filter((step) => step !== "")).join("/");
}

async function targetProblems(flag: string, path: string): Promise<Facts["outputProblems"]> {
  const target = await stat(path).catch(() => undefined);
  if (target?.isDirectory()) return [{ flag, problem: `${JSON.stringify(path)} is a directory` }];
  const parent = await stat(dirname(path)).catch(() => undefined);
  if (parent?.isDirectory())
    return (await problemsOfWriting(dirname(path))).map((problem) => ({ flag, problem }));
  return [{ flag, problem: `the directory of ${JSON.stringify(path)} does not exist` }];
}

/** Returns warnings about directories that were there before, which are left as they are. */
async function makeSubmissions(parent: string, count: number): Promise<string[]> {
  const warnings: string[] = [];
  for (const { path, made } of await makeSubmissionDirectories(parent, count)) {
    if (!made && !(await isOpenTo(KERNEL_USER_ID, path, 0o3)))
      warnings.push(`--mountable-volume-saveto: user code (user ${KERNEL_USER_ID}) may not write to ${path}`);
  }
  return warnings;
}

/** Whether a user, whose group has the same number, has the permissions `bits` (4 read, 2 write, 1 enter) on a file. */
async function isOpenTo(id: number, path: string, bits: number): Promise<boolean> {
  const { uid, gid, mode } = await stat(path);
  const shift = uid === id ? 6 : gid === id ? 3 : 0;
  return ((mode >> shift) & bits) === bits;
}

/** Whether an error tells what the machine would not do with a file, and which. */
function isFileError(error: unknown): error is Error {
  return error instanceof Error && "syscall" in error;
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
