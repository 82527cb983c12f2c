import { setTimeout as delay } from "node:timers/promises";
import type { Loss } from "#manager/fleet/backend.ts";
import { orAborted } from "#manager/fleet/or-aborted.ts";
import type { Engine } from "./engine.ts";
import type { FleetContainers } from "./fleet-containers.ts";

/** How long a container may take to end after its connections broke. */
const END_BUDGET_MS = 2_000;
/** How long the engine's event of an end may come after the end can be seen. */
const EVENT_BUDGET_MS = 600;
const POLL_INTERVAL_MS = 50;

/**
 * Why the connection to an executor broke just now, as far as its container tells. Undefined when that runs as before,
 * or when the engine does not tell in time.
 */
export async function explainLoss(
  containers: FleetContainers,
  engine: Engine,
  number: number,
  signal: AbortSignal,
): Promise<Loss | undefined> {
  const { lives } = containers;
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(END_BUDGET_MS)]);
  try {
    let endSeenAt: number | undefined;
    for (;;) {
      const told = lives.recentLoss(number);
      if (told) return told;
      const id = lives.containerId(number);
      if (id === undefined) return undefined;
      if (!lives.runsOn(number, await engine.inspect(id, bounded))) endSeenAt ??= performance.now();
      // Events know more, such as what the memory limit did; without one, what can be seen has to do.
      if (endSeenAt !== undefined && performance.now() - endSeenAt > EVENT_BUDGET_MS)
        return await orAborted(containers.look(number, bounded), bounded);
      await delay(POLL_INTERVAL_MS, undefined, { signal: bounded });
    }
  } catch {
    return lives.recentLoss(number);
  }
}
