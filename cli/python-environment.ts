import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { CliError } from "./cli-error.ts";
import { ExclusiveLock } from "./exclusive-lock.ts";
import { installPython, type PythonSources } from "./python-install.ts";
import { runProgram } from "./run-program.ts";

/** Folder of the environment in the project, and the file in it that says what it holds. */
const ENVIRONMENT_FOLDER = ".venv";
const MARKER_FILE = "executor-fleet.json";
const REQUIREMENTS = join("executor", "requirements.txt");

const markerSchema = z.object({
  /** False from the first step of making it to the last. */
  complete: z.boolean(),
  /** Hash of the requirements that it was made from. */
  requirements: z.string(),
});

export interface PythonSetup {
  projectDir: string;
  /** A Python that the user names; then nothing is made. */
  given: string | undefined;
  sources: PythonSources;
  /** Told what is being done, line by line. */
  say: (line: string) => void;
  signal: AbortSignal;
}

/**
 * A Python that can run kernels: the given one, else that of a virtual environment in the project's folder, which is
 * made on first use, made anew when it was left half-made or its requirements changed, and never by two at once.
 *
 * @returns the path of its `python`
 * @throws {CliError} that tells what was tried; or the signal's reason
 */
export async function ensurePythonEnvironment(setup: PythonSetup): Promise<string> {
  const { projectDir, given, say, signal } = setup;
  if (given !== undefined) return await checkGiven(given, signal);
  const environment = await describeEnvironment(projectDir);
  const { folder, python, requirementsFile, requirements } = environment;
  if (await isUsable(environment, signal)) return python;

  using _lock = await ExclusiveLock.take(join(projectDir, ".fleet", "python.lock"), {
    signal,
    onWait: () => say("another fleet sets up Python here: waiting for it"),
  });
  if (await isUsable(environment, signal)) return python;
  say(`setting up Python with ipykernel in ${folder}, once`);
  const marker = (complete: boolean) => JSON.stringify({ complete, requirements });
  await installPython({
    folder,
    requirementsFile,
    marker: { file: join(folder, MARKER_FILE), begun: marker(false), done: marker(true) },
    sources: setup.sources,
    isReady: () => canRunKernels(python, signal),
    say,
    signal,
  });
  return python;
}

/**
 * The Python that {@link ensurePythonEnvironment} would come to. `tell` gets what it would do for that, if anything.
 *
 * @throws {CliError} when the given one cannot run kernels; or the signal's reason
 */
export async function planPythonEnvironment(
  { projectDir, given, signal }: PythonSetup,
  tell: (step: string) => void,
): Promise<string> {
  if (given !== undefined) return await checkGiven(given, signal);
  const environment = await describeEnvironment(projectDir);
  const { folder, python, requirementsFile } = environment;
  if (!(await isUsable(environment, signal)))
    tell(`set up Python with ipykernel in ${folder}: none there fits ${requirementsFile}`);
  return python;
}

/** The environment that there should be. */
interface Environment {
  folder: string;
  python: string;
  requirementsFile: string;
  /** Hash of what that file asks for. */
  requirements: string;
}

async function describeEnvironment(projectDir: string): Promise<Environment> {
  const folder = join(projectDir, ENVIRONMENT_FOLDER);
  const requirementsFile = join(projectDir, REQUIREMENTS);
  const requirements = await hashOf(requirementsFile);
  return { folder, python: join(folder, "bin", "python"), requirementsFile, requirements };
}

/** @throws {CliError} when it is somebody's own and cannot run kernels */
async function isUsable(environment: Environment, signal: AbortSignal): Promise<boolean> {
  const { folder, python, requirementsFile, requirements } = environment;
  const isForeign = await holdsAnother(folder);
  if (!isForeign && (await readMarker(folder))?.requirements !== requirements) return false;
  const works = await canRunKernels(python, signal);
  if (works || !isForeign) return works;
  throw new CliError(
    `${folder} is an environment of yours without ipykernel: run ${python} -m pip install -r ` +
      `${requirementsFile}, or set FLEET_PYTHON to another Python`,
  );
}

async function checkGiven(python: string, signal: AbortSignal): Promise<string> {
  const found = await runProgram([python, "-c", "import ipykernel"], { signal });
  if (found.ok) return python;
  throw new CliError(
    `FLEET_PYTHON=${python} cannot run kernels (${found.reason}): install ipykernel there, or unset it`,
  );
}

/** Whether a Python starts and finds ipykernel. It is not imported, which would take ten times as long. */
async function canRunKernels(python: string, signal: AbortSignal): Promise<boolean> {
  const find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('ipykernel') is None)";
  return (await runProgram([python, "-c", find], { signal })).ok;
}

/** The marker of a finished environment; undefined for one that is half-made, not ours, or not there. */
async function readMarker(folder: string): Promise<z.infer<typeof markerSchema> | undefined> {
  const text = await readFile(join(folder, MARKER_FILE), "utf8").catch(() => "");
  if (text === "") return undefined;
  const marker = markerSchema.safeParse(JSON.parse(text)).data;
  return marker?.complete ? marker : undefined;
}

/** Whether the folder holds something that was not made here, which therefore is not ours to replace. */
async function holdsAnother(folder: string): Promise<boolean> {
  const entries: string[] = await readdir(folder).catch(() => []);
  return entries.length > 0 && !entries.includes(MARKER_FILE);
}

async function hashOf(file: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
}
