import type { Logger } from "pino";
import type { FleetSpec } from "#compose/fleet-spec.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import { DockerBackend } from "#manager/fleet/docker/docker-backend.ts";
import type { Engine, EngineInfo } from "#manager/fleet/docker/engine.ts";
import type { BackendChoice } from "./choose-backend.ts";
import { usageError } from "./cli-error.ts";
import type { FleetPlan } from "./fleet-plan.ts";
import { makeProcessBackend } from "./process-fleet.ts";

/** Steps of an image's build hold whole scripts. */
const PROGRESS_WIDTH = 100;

/**
 * The backend of that choice, with what its executors need to run.
 *
 * @throws {CliError} for what cannot run here
 */
export async function makeBackend(choice: BackendChoice, plan: FleetPlan, log: Logger): Promise<Backend> {
  if (choice.name === "process") return await makeProcessBackend(plan, log);
  const { spec, projectDir, dataDir, secret, submissionDirectories, reporter, signal } = plan;
  const { engine } = choice;
  if ("info" in choice) await assertEngineCan(spec, engine, choice.info, signal);
  return new DockerBackend(
    {
      spec,
      projectDir,
      dataDir: dataDir.path,
      secret,
      onProgress: (line) => reporter.say(line.replaceAll(/\s+/g, " ").slice(0, PROGRESS_WIDTH)),
      ...(submissionDirectories === undefined ? {} : { submissionDirectories }),
    },
    engine,
    log,
  );
}

/**
 * Finds out before anything is made what the engine would refuse in words that name no flag.
 *
 * @throws {CliError} with every such problem
 */
async function assertEngineCan(
  { types, limits }: FleetSpec,
  engine: Pick<Engine, "hasImage">,
  { resources }: EngineInfo,
  signal: AbortSignal,
): Promise<void> {
  const problems: string[] = [];
  for (const { type, image } of types) {
    if (image !== undefined && !(await engine.hasImage(image, signal)))
      problems.push(
        `--types: ${type}=${image}: the engine has no such image: "docker pull ${image}" fetches it`,
      );
  }
  if (limits.cpus > resources.cpus)
    problems.push(`--cpus: ${limits.cpus} are more than the ${resources.cpus} of the engine's machine`);
  if (problems.length > 0) throw usageError(problems);
}
