import { errorText } from "#contract/errors.ts";
import { Engine, type EngineInfo } from "#manager/fleet/docker/engine.ts";
import type { Environment } from "./cli-context.ts";
import { CliError } from "./cli-error.ts";

/** What executors are to run on. */
export type BackendChoice =
  | { name: "process"; because?: string }
  | { name: "docker"; engine: Engine; info: EngineInfo }
  /** Docker is wanted, but no engine answers yet. */
  | { name: "docker"; engine: Engine; waitsFor: string };

/**
 * The backend that the user wants; with `auto`, Docker where an engine answers, else processes, but these not where an
 * engine was meant to answer: nothing would keep user code apart.
 *
 * @throws {CliError} when an engine was meant to answer and does not
 */
export async function chooseBackend(
  wanted: "auto" | "docker" | "process",
  env: Environment,
  signal: AbortSignal,
): Promise<BackendChoice> {
  if (wanted === "process") return { name: "process" };
  const engine = new Engine();
  try {
    return { name: "docker", engine, info: await engine.info(signal) };
  } catch (error) {
    signal.throwIfAborted();
    const reason = errorText(error);
    if (wanted === "docker") return { name: "docker", engine, waitsFor: reason };
    const refusal = refusalToFallBack(error, env);
    if (refusal === undefined) return { name: "process", because: `no Docker engine answers: ${reason}` };
    throw new CliError(
      `no Docker engine answers (${reason}): ${refusal}, or use --backend process, which isolates nothing`,
      { cause: error },
    );
  }
}

/** What the user is told of the choice. */
export function describeChoice(choice: BackendChoice): string {
  if (choice.name === "process")
    return choice.because === undefined ? "backend: process" : `backend: process (${choice.because})`;
  return "info" in choice
    ? `backend: docker (engine ${choice.info.version})`
    : `backend: docker (no engine answers yet: ${choice.waitsFor})`;
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
