import { access, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { CliError } from "./cli-error.ts";
import { runProgram, type ProgramResult } from "./run-program.ts";

/** Where a Python may come from. */
export interface PythonSources {
  /** Commands or paths to make an environment with, best first. */
  pythons: readonly string[];
  /** Debian's own Python, for which `apt-get install python3-ipykernel` installs. */
  systemPython: string;
  /** Whether `apt-get` may be used: as root, where there is one. */
  apt: boolean;
}

const DEBIAN_PYTHON = "/usr/bin/python3";
const APT_GET = "/usr/bin/apt-get";

/** What this machine offers. */
export async function pythonSources(): Promise<PythonSources> {
  const hasApt = await access(APT_GET).then(
    () => true,
    () => false,
  );
  return {
    pythons: ["python3", DEBIAN_PYTHON],
    systemPython: DEBIAN_PYTHON,
    apt: hasApt && process.getuid?.() === 0,
  };
}

export interface PythonInstall {
  /** Folder of the environment. What is there is replaced. */
  folder: string;
  requirementsFile: string;
  /** A file in the folder that tells a begun environment from a finished one. */
  marker: { file: string; begun: string; done: string };
  sources: PythonSources;
  /** Whether the environment's Python can run kernels. */
  isReady: () => Promise<boolean>;
  say: (line: string) => void;
  signal: AbortSignal;
}

/**
 * Makes the environment: with pip, else, where pip finds no packages, around Debian's `python3-ipykernel`.
 *
 * @throws {CliError} that tells everything that was tried; nothing is left in the folder then
 */
export async function installPython(install: PythonInstall): Promise<void> {
  const tried: string[] = [];
  if ((await installWithPip(install, tried)) || (await installFromDebian(install, tried))) {
    await writeFileAtomic(install.marker.file, install.marker.done);
    return;
  }
  await rm(install.folder, { recursive: true, force: true });
  throw new CliError(
    [
      "no Python that can run kernels could be set up; tried:",
      ...tried.map((line) => `  ${line}`),
      "Make a package index reachable, or install python3-ipykernel (Debian), or set FLEET_PYTHON to a Python " +
        `of yours into which ${install.requirementsFile} is installed.`,
    ].join("\n"),
  );
}

async function installWithPip(install: PythonInstall, tried: string[]): Promise<boolean> {
  const pip = await makeEnvironment(install, tried);
  if (!pip) return false;
  const { requirementsFile, say, signal } = install;
  const args = ["install", "--disable-pip-version-check", "--no-input", "--retries", "2", "-r"];
  const result = await runProgram([...pip, ...args, requirementsFile], { signal, onLine: pipProgress(say) });
  const works = result.ok && (await install.isReady());
  if (!works) tried.push(`${pip.join(" ")} install -r ${requirementsFile}: ${result.reason}`);
  return works;
}

type Command = readonly [string, ...string[]];

/** Makes an empty environment in the first way that works. Returns the command line of a pip that installs into it. */
async function makeEnvironment(install: PythonInstall, tried: string[]): Promise<Command | undefined> {
  const { folder, sources, say, signal } = install;
  const inside = join(folder, "bin", "python");
  const attempt = async (command: Command): Promise<boolean> => {
    await begin(install);
    const result = await runProgram(command, { signal });
    if (!result.ok) tried.push(`${command.join(" ")}: ${result.reason}`);
    return result.ok;
  };
  for (const python of sources.pythons) {
    if (await attempt([python, "-m", "venv", folder])) return [inside, "-m", "pip"];
    // Debian keeps the pip that venv puts into an environment in a package of its own.
    const pip = await runProgram([python, "-m", "pip", "--version"], { signal });
    if (pip.ok && (await attempt([python, "-m", "venv", "--without-pip", folder]))) {
      return [python, "-m", "pip", "--python", inside];
    }
  }
  if (await attempt(["virtualenv", folder])) return [inside, "-m", "pip"];
  if (!sources.apt) return undefined;
  if (!record(tried, await aptInstall("python3-venv", say, signal), "apt-get install python3-venv"))
    return undefined;
  return (await attempt([sources.systemPython, "-m", "venv", folder])) ? [inside, "-m", "pip"] : undefined;
}

/** An environment that sees the packages of Debian's Python, ipykernel among them. */
async function installFromDebian(install: PythonInstall, tried: string[]): Promise<boolean> {
  const { folder, sources, say, signal } = install;
  const { systemPython } = sources;
  const look = () => runProgram([systemPython, "-c", "import ipykernel"], { signal });
  let found = await look();
  if (!found.ok && sources.apt) {
    const installed = await aptInstall("python3-ipykernel", say, signal);
    record(tried, installed, "apt-get install python3-ipykernel");
    found = await look();
  }
  const command: Command = [systemPython, "-m", "venv", "--system-site-packages", "--without-pip", folder];
  if (!record(tried, found, `${systemPython} -c "import ipykernel"`)) return false;
  await begin(install);
  if (!record(tried, await runProgram(command, { signal }), command.join(" "))) return false;
  const works = await install.isReady();
  if (works) say("pip found no packages: using Debian's python3-ipykernel");
  else tried.push(`${command.join(" ")}: it does not see ipykernel`);
  return works;
}

/** Empties the folder and marks it as begun, so that whoever finds it knows it for half-made. */
async function begin({ folder, marker }: PythonInstall): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFileAtomic(marker.file, marker.begun);
}

async function aptInstall(
  name: string,
  say: PythonInstall["say"],
  signal: AbortSignal,
): Promise<ProgramResult> {
  // prettier-ignore
  const install: Command = ["env", "DEBIAN_FRONTEND=noninteractive", APT_GET, "-q", "install", "--yes", "--no-install-recommends", name];
  say(`apt-get install ${name}`);
  const first = await runProgram(install, { signal });
  if (first.ok) return first;
  await runProgram([APT_GET, "-q", "update"], { signal });
  return await runProgram(install, { signal });
}

function record(tried: string[], result: ProgramResult, what: string): boolean {
  if (!result.ok) tried.push(`${what}: ${result.reason}`);
  return result.ok;
}

/** Tells how far pip is: the packages that were asked for, then the installation of all. */
function pipProgress(say: PythonInstall["say"]): (line: string) => void {
  return (line) => {
    const asked = /^Collecting (\S+)(?: \(from -r|$)/.exec(line)?.[1];
    if (asked !== undefined) say(`  pip fetches ${asked} and what it needs`);
    else if (line.startsWith("Installing collected packages")) say("  pip installs");
  };
}
