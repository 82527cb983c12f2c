import type { Logger } from "pino";
import { errorText } from "#contract/errors.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import { DockerBackend } from "#manager/fleet/docker/docker-backend.ts";
import { Engine } from "#manager/fleet/docker/engine.ts";
import type { Environment } from "./cli-context.ts";
import { CliError } from "./cli-error.ts";
import type { FleetPlan } from "./fleet-plan.ts";
import { makeProcessBackend } from "./process-fleet.ts";

/** Steps of an image's build hold whole scripts. */
const PROGRESS_WIDTH = 100;

/**
 * The backend that the user wants; with `auto`, Docker where an engine answers, else processes, but these
 * not where an engine was meant to answer: nothing would keep user code apart.
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
    const refusal = refusalToFallBack(error, plan.context.env);
    if (wanted === "auto" && refusal === undefined) {
      plan.reporter.say(`backend: process (no Docker engine answers: ${errorText(error)})`);
      return await makeProcessBackend(plan, log);
    }
    const remedy = refusal ?? "start Docker";
    throw new CliError(
      `no Docker engine answers (${errorText(error)}): ${remedy}, or use --backend process, which isolates nothing`,
      { cause: error },
    );
  }
  const { spec, projectDir, dataDir, submissionDirectories, reporter } = plan;
  return new DockerBackend(
    {
      spec,
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

/**
 * What to do about an engine that is there for this user, who would not expect to run without its isolation; undefined
 * where there is none.
 */
export function refusalToFallBack(error: unknown, env: Environment): string | undefined {
  const host = env["DOCKER_HOST"];
  if (host) return `DOCKER_HOST is ${host}: start that engine, or unset the variable`;
  if (error instanceof Error && "code" in error && error.code === "EACCES")
    return "let this user use it, for example as a member of the group docker";
  return undefined;
}
