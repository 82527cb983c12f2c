import { CannotStart } from "./cannot-start.ts";
import type { Desired } from "./desired-containers.ts";
import { statusOf, type ContainerRun, type Engine } from "./engine.ts";
import { FINGERPRINT_LABEL } from "./plan.ts";

/**
 * Makes a container; the one that is asked for is taken where it is there already. `lost` is aborted when the
 * connection is: a caller that gives up must not leave the engine to make a container that nobody looks for any more.
 *
 * @throws {CannotStart} when the engine refuses it as it is asked for
 */
export async function createContainer(
  engine: Engine,
  { number, name, options, fingerprint }: Desired,
  lost: AbortSignal,
): Promise<string> {
  try {
    return await engine.create(options, lost);
  } catch (error) {
    if (statusOf(error) !== 409) return rejectUnusable(number)(error);
    const rival = await engine.containerNamed(name, lost);
    if (!rival) throw error;
    if (rival.labels[FINGERPRINT_LABEL] === fingerprint) return rival.id;
    const which = `container ${rival.id.slice(0, 12)}, which is not of this fleet`;
    throw new Error(`the name ${name} is taken by ${which}: rename or remove it`, { cause: error });
  }
}

/**
 * Starts a container, unless it runs.
 *
 * @throws {CannotStart} when the engine refuses it as it was made
 */
export async function startContainer(
  engine: Engine,
  id: string,
  { number, signal }: { number: number; signal: AbortSignal },
): Promise<ContainerRun> {
  await engine.start(id, signal).catch(rejectUnusable(number));
  const run = await engine.inspect(id, signal);
  if (run) return run;
  throw new Error("its container was removed as soon as it was started");
}

/** Ends the run of a container and starts the next one; undefined when there is no such container. */
export async function restartContainer(
  engine: Engine,
  id: string,
  signal: AbortSignal,
): Promise<ContainerRun | undefined> {
  try {
    await engine.restart(id, signal);
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
  return await engine.inspect(id, signal);
}

/** An engine that refuses a container as it is asked for does so again. */
function rejectUnusable(number: number): (error: unknown) => never {
  return (error) => {
    if (statusOf(error) !== 400 && statusOf(error) !== 404) throw error;
    throw new CannotStart(`the container of executor ${number} cannot be made`, { cause: error });
  };
}
