import { execFileSync } from "node:child_process";
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { CliError } from "#cli/cli-error.ts";
import { ensurePythonEnvironment, planPythonEnvironment } from "#cli/python-environment.ts";
import type { PythonSources } from "#cli/python-install.ts";

// A stand-in of three lines: these tests are about the environment, and need no package index.
const MAKE_WHEEL = `
import sys, zipfile
folder, version = sys.argv[1:]
info = f"ipykernel-{version}.dist-info"
with zipfile.ZipFile(f"{folder}/ipykernel-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr("ipykernel/__init__.py", f"__version__ = '{version}'")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: ipykernel\\nVersion: {version}\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;

// As on a Debian without python3-venv, where an environment gets no pip of its own. It is also the faster way.
const PYTHON_WITHOUT_ENSUREPIP = `#!/bin/sh
case "$*" in
  *--without-pip*) ;;
  "-m venv "*) echo "ensurepip is not available"; exit 1 ;;
esac
exec python3 "$@"
`;

let projectDir: string;
let lines: string[];
let sources: PythonSources;

async function requirePackage(version: string): Promise<void> {
  execFileSync("python3", ["-c", MAKE_WHEEL, projectDir, version]);
  const text = `--no-index\n--find-links ${projectDir}\nipykernel==${version}\n`;
  await writeFile(join(projectDir, "executor", "requirements.txt"), text);
}

interface Options {
  given?: string;
  sources?: PythonSources;
}

function setup(options: Options = {}) {
  return {
    projectDir,
    given: options.given,
    sources: options.sources ?? sources,
    say: (line: string) => lines.push(line),
    signal: AbortSignal.timeout(50_000),
  };
}

function ensure(options?: Options) {
  return ensurePythonEnvironment(setup(options));
}

/** What would be done to come to a Python. */
async function planned(): Promise<string[]> {
  const steps: string[] = [];
  await planPythonEnvironment(setup(), (step) => steps.push(step));
  return steps;
}

function versionIn(python: string): string {
  const program = "import ipykernel; print(ipykernel.__version__)";
  return execFileSync(python, ["-c", program], { encoding: "utf8" }).trim();
}

async function failureOf(call: Promise<unknown>): Promise<CliError> {
  const error: unknown = await call.then(
    () => new Error("the call did not fail"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof CliError)) throw error;
  return error;
}

beforeEach(async () => {
  projectDir = await mkdtemp(join(tmpdir(), "fleet-python-"));
  lines = [];
  await mkdir(join(projectDir, "executor"));
  await requirePackage("1.0");
  const python = join(projectDir, "python-without-ensurepip");
  await writeFile(python, PYTHON_WITHOUT_ENSUREPIP, { mode: 0o755 });
  sources = { pythons: [python], systemPython: "no-such-system-python", apt: false };
  onTestFinished(() => rm(projectDir, { recursive: true }));
});

test("concurrent first runs make one environment, and later runs use it as it is", async () => {
  const whole = { ...sources, pythons: ["python3"] };
  const [first, second] = await Promise.all([ensure({ sources: whole }), ensure({ sources: whole })]);
  expect(first).toBe(second);
  expect(versionIn(first)).toBe("1.0");
  expect(lines.filter((line) => line.startsWith("setting up"))).toHaveLength(1);

  lines = [];
  await expect(ensure()).resolves.toBe(first);
  expect(lines).toEqual([]);
});

test("a half-made environment is made anew, and changed requirements are installed", async () => {
  const stop = new AbortController();
  const interrupted = ensurePythonEnvironment({
    projectDir,
    given: undefined,
    sources,
    say: (line) => {
      if (line.startsWith("  pip")) stop.abort(new Error("interrupted"));
    },
    signal: stop.signal,
  });
  await expect(interrupted).rejects.toThrow("interrupted");
  await access(join(projectDir, ".venv"));

  expect(versionIn(await ensure())).toBe("1.0");
  await requirePackage("2.0");
  expect(versionIn(await ensure())).toBe("2.0");
});

test("where pip finds no packages, an ipykernel of the system's Python serves", async () => {
  // A virtual environment with system packages sees those of the user, too, which need no root to be there.
  const userBase = join(projectDir, "user");
  vi.stubEnv("PYTHONUSERBASE", userBase);
  onTestFinished(() => void vi.unstubAllEnvs());
  const program = "import site; print(site.getusersitepackages())";
  const library = execFileSync("python3", ["-c", program], { encoding: "utf8" }).trim();
  await mkdir(join(library, "ipykernel"), { recursive: true });
  await writeFile(join(library, "ipykernel", "__init__.py"), "__version__ = 'debian'");
  await writeFile(join(projectDir, "executor", "requirements.txt"), "--no-index\nipykernel==9.9\n");

  const python = await ensure({ sources: { ...sources, systemPython: "python3" } });
  expect(versionIn(python)).toBe("debian");
  expect(lines.at(-1)).toContain("Debian's python3-ipykernel");
});

test("where nothing works, the error names everything that was tried and the ways out", async () => {
  await writeFile(join(projectDir, "executor", "requirements.txt"), "--no-index\nipykernel==9.9\n");
  const { message } = await failureOf(ensure());
  expect(message).toContain("No matching distribution found for ipykernel==9.9");
  expect(message).toContain("no-such-system-python");
  expect(message).toContain("FLEET_PYTHON");
  await expect(access(join(projectDir, ".venv"))).rejects.toThrow("ENOENT");
});

test("an environment that somebody else made is used if it can run kernels, and never replaced", async () => {
  const folder = join(projectDir, ".venv");
  await mkdir(folder);
  await writeFile(join(folder, "theirs"), "");
  expect((await failureOf(ensure())).message).toContain("an environment of yours without ipykernel");
  await expect(readFile(join(folder, "theirs"), "utf8")).resolves.toBe("");
});

test("a Python that the user names is checked, and nothing is made", async () => {
  const { message } = await failureOf(ensure({ given: "no-such-python" }));
  expect(message).toContain("FLEET_PYTHON=no-such-python cannot run kernels");
  await expect(access(join(projectDir, ".venv"))).rejects.toThrow("ENOENT");
});

test("what would be set up is told without being done, as long as it is not there", async () => {
  const folder = join(projectDir, ".venv");
  const step = `set up Python with ipykernel in ${folder}: none there fits ${join(projectDir, "executor", "requirements.txt")}`;
  expect(await planned()).toEqual([step]);
  await expect(access(folder)).rejects.toThrow("ENOENT");
  await ensure();
  expect(await planned()).toEqual([]);
  await requirePackage("2.0");
  expect(await planned()).toEqual([step]);
});
