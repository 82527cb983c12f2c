import { join } from "node:path";
import type { Logger } from "pino";
import { plannedExecutors } from "#compose/fleet-spec.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import { ProcessBackend } from "#manager/fleet/process/process-backend.ts";
import { CliError } from "./cli-error.ts";
import type { Environment } from "./cli-context.ts";
import { findDenoKernel, makeDenoKernel } from "./deno-kernel.ts";
import type { FleetPlan } from "./fleet-plan.ts";
import { ensurePythonEnvironment, planPythonEnvironment } from "./python-environment.ts";
import { pythonSources } from "./python-install.ts";

/** How long executors wait for the next manager when theirs is gone. */
export const ORPHAN_GRACE_MS = 60_000;

/** What executors take over from the user's environment; anything else is passed with `--env`. */
const PASSED_ON =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|XDG_\w+|(?:https?|no|all)_proxy|SSL_CERT_(?:FILE|DIR)|(?:REQUESTS|CURL)_CA_BUNDLE|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|CUDA_\w+|PYTHONUNBUFFERED|PYTHONDONTWRITEBYTECODE)$/i;

/**
 * Executors as processes of this machine, with what their kernels need to run.
 *
 * @throws {CliError} for a type that has no kernel here, or whose kernel cannot be set up
 */
export async function makeProcessBackend(plan: FleetPlan, log: Logger): Promise<Backend> {
  const { spec, context, dataDir, submissionDirectories } = plan;
  const envOfType: Record<string, Record<string, string>> = {};
  for (const { type } of spec.types) envOfType[type] = await kernelOf(type, plan);
  const settings = {
    types: plannedExecutors(spec).map(({ type }) => type),
    command: context.executorCommand,
    env: {
      ...passedOn(context.env),
      ...spec.environment,
      EXECUTION_TIMEOUT: String(spec.executionTimeout),
      MAX_EXECUTION_TIMEOUT: String(spec.maxExecutionTimeout),
      // Without code to load it is a folder that is not there: the default may be somebody else's on this machine.
      WORKSPACE_FOLDER: spec.codeDirectory ?? join(dataDir.path, "no-code"),
    },
    envOfType,
    resets: spec.resets,
    logDir: dataDir.logDir,
    stateDir: dataDir.executorsDir,
    orphanGraceMs: ORPHAN_GRACE_MS,
    ...(submissionDirectories === undefined ? {} : { submissionDirectories }),
  };
  return new ProcessBackend(settings, log);
}

/** The variables that tell an executor of that type which kernel to run. */
async function kernelOf(type: string, plan: FleetPlan): Promise<Record<string, string>> {
  const { projectDir, dataDir, context, reporter, signal, insteadOfMaking } = plan;
  switch (type) {
    case "python": {
      const setup = {
        projectDir,
        given: context.env["FLEET_PYTHON"] || undefined,
        sources: await pythonSources(),
        say: reporter.say,
        signal,
      };
      const make = insteadOfMaking
        ? planPythonEnvironment(setup, insteadOfMaking)
        : ensurePythonEnvironment(setup);
      return { KERNEL_PYTHON: await make };
    }
    case "typescript": {
      const jupyterDir = join(dataDir.path, "jupyter");
      const setup = { projectDir, jupyterDir, path: context.env["PATH"] };
      return insteadOfMaking ? (await findDenoKernel(setup)).variables : await makeDenoKernel(setup);
    }
    default:
      throw new CliError(`type ${type} is made from an image, which needs Docker: use --backend docker`);
  }
}

function passedOn(env: Environment): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && PASSED_ON.test(name)) passed[name] = value;
  }
  return passed;
}
