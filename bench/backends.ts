import { Engine } from "#manager/fleet/docker/engine.ts";

/** What executors run as. */
export type BackendName = "process" | "docker";

/** The backends that an argument names, else all that work here; of one that does not it is said why. */
export async function chosenBackends(
  argument: string | undefined,
  signal: AbortSignal,
): Promise<BackendName[]> {
  if (argument === "process" || argument === "docker") return [argument];
  try {
    await new Engine().ping(signal);
    return ["process", "docker"];
  } catch (error) {
    signal.throwIfAborted();
    process.stdout.write(`no containers: ${error instanceof Error ? error.message : String(error)}\n`);
    return ["process"];
  }
}
