import pRetry from "p-retry";
import { errorText } from "#contract/errors.ts";
import type { Engine, ObservedContainer } from "./engine.ts";
import { FLEET_LABEL, numberOf } from "./plan.ts";

const MIN_RETRY_DELAY_MS = 200;
const MAX_RETRY_DELAY_MS = 2_000;
const REMOVAL_BUDGET_MS = 15_000;
/** How long the engine may take to answer the last attempt. */
const LAST_ANSWER_MS = 5_000;

export interface RemovalOptions {
  budgetMs?: number;
  /** Executors whose containers stay, and with them the fleet's network. */
  kept?: ReadonlySet<number>;
}

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
  { budgetMs = REMOVAL_BUDGET_MS, kept = new Set() }: RemovalOptions = {},
): Promise<string[]> {
  const names = new Set<string>();
  const signal = AbortSignal.timeout(budgetMs + LAST_ANSWER_MS);
  await pRetry(
    async () => {
      const there = await toRemove(engine, fleetId, kept, signal);
      for (const { name } of there) names.add(name);
      const removals = await Promise.allSettled(there.map(({ id }) => engine.remove(id, signal)));
      const left = await toRemove(engine, fleetId, kept, signal);
      if (left.length > 0) throw leftError(left, removals);
      if (kept.size === 0) await engine.removeNetworks(FLEET_LABEL, fleetId);
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

async function toRemove(
  engine: Engine,
  fleetId: string,
  kept: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<ObservedContainer[]> {
  const there = await engine.containersWithLabels({ [FLEET_LABEL]: fleetId }, signal);
  return there.filter((container) => !kept.has(numberOf(container)));
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
