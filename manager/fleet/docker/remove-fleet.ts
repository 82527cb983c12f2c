import pRetry from "p-retry";
import { errorText } from "#contract/errors.ts";
import type { Engine } from "./engine.ts";
import { FLEET_LABEL } from "./plan.ts";

const MIN_RETRY_DELAY_MS = 200;
const MAX_RETRY_DELAY_MS = 2_000;
const REMOVAL_BUDGET_MS = 15_000;

/**
 * Removes every container and network of a fleet, and looks whether they are gone: the engine refuses to remove what
 * is just ending or being removed.
 *
 * @returns the names of the containers that there were
 * @throws {Error} that names what is left
 */
export async function removeFleet(
  engine: Engine,
  fleetId: string,
  budgetMs = REMOVAL_BUDGET_MS,
): Promise<string[]> {
  const names = new Set<string>();
  await pRetry(
    async () => {
      const there = await engine.containersWithLabel(FLEET_LABEL, fleetId);
      for (const { name } of there) names.add(name);
      const removals = await Promise.allSettled(there.map(({ id }) => engine.remove(id)));
      const left = await engine.containersWithLabel(FLEET_LABEL, fleetId);
      if (left.length > 0) throw leftError(left, removals);
      await engine.removeNetworks(FLEET_LABEL, fleetId);
    },
    {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: MIN_RETRY_DELAY_MS,
      maxTimeout: MAX_RETRY_DELAY_MS,
      maxRetryTime: budgetMs,
    },
  );
  return [...names].toSorted();
}

function leftError(
  left: readonly { name: string }[],
  removals: readonly PromiseSettledResult<void>[],
): Error {
  const list = left.map(({ name }) => name).join(" ");
  const reasons = removals.flatMap((removal) =>
    removal.status === "rejected" ? [errorText(removal.reason)] : [],
  );
  const why = reasons.length === 0 ? "" : ` (${reasons.join("; ")})`;
  return new Error(`containers could not be removed${why}: "docker rm -f ${list}" does it`);
}
