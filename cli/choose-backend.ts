import type { Logger } from "pino";
import { errorText } from "#contract/errors.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import { DockerBackend } from "#manager/fleet/docker/docker-backend.ts";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { CliError } from "./cli-error.ts";
import type { FleetPlan } from "./fleet-plan.ts";
import { makeProcessBackend } from "./process-fleet.ts";

/** Steps of an image's build hold whole scripts. */
const PROGRESS_WIDTH = 100;

/**
 * The backend that the user wants; with `auto`, Docker where an engine answers, else processes.
 *
 * @throws {CliError} when it cannot work here
 */
export async function chooseBackend(
  wanted: "auto" | "docker" | "process",
  plan: FleetPlan,
  log: Logger,
): Promise<Backend> {
  if (wanted === "process") {
    plan.reporter.say("backend: process");
    return await makeProcessBackend(plan, log);
  }
  const engine = new Engine();
  try {
    const { version } = await engine.info();
    plan.reporter.say(`backend: docker (engine ${version})`);
  } catch (error) {
    if (wanted === "auto") {
      plan.reporter.say("backend: process (no Docker engine answers)");
      return await makeProcessBackend(plan, log);
    }
    throw new CliError(
      `no Docker engine answers (${errorText(error)}): start Docker, or use --backend process`,
      { cause: error },
    );
  }
  const { spec, projectDir, dataDir, submissionDirectories, reporter } = plan;
  const MAX_EXECUTION_TIMEOUT = String(spec.maxExecutionTimeout);
  return new DockerBackend(
    {
      spec: { ...spec, environment: { ...spec.environment, MAX_EXECUTION_TIMEOUT } },
      projectDir,
      dataDir: dataDir.path,
      secret: await dataDir.secret(),
      onProgress: (line) => reporter.say(line.replaceAll(/\s+/g, " ").slice(0, PROGRESS_WIDTH)),
      ...(submissionDirectories === undefined ? {} : { submissionDirectories }),
    },
    engine,
    log,
  );
}
