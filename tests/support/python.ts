import { join } from "node:path";
import { ensurePythonEnvironment } from "#cli/python-environment.ts";
import { pythonSources } from "#cli/python-install.ts";

const SETUP_LIMIT_MS = 300_000;

/**
 * Set-up of whole test runs: makes the project's Python environment on first use, as `fleet up` does. Every test then
 * finds its Python in the environment variable FLEET_PYTHON.
 */
export default async function setUpPython(): Promise<void> {
  // oxlint-disable-next-line node/no-process-env -- the workers of the run inherit the environment
  const { env } = process;
  env["FLEET_PYTHON"] = await ensurePythonEnvironment({
    projectDir: join(import.meta.dirname, "..", ".."),
    given: env["FLEET_PYTHON"],
    sources: await pythonSources(),
    say: (line) => void process.stderr.write(`${line}\n`),
    signal: AbortSignal.timeout(SETUP_LIMIT_MS),
  });
}
