import { setTimeout as delay } from "node:timers/promises";
import pRetry from "p-retry";
import type { Logger } from "pino";
import { errorText } from "#contract/errors.ts";
import type { EngineConnection } from "./engine-connection.ts";
import type { FleetContainers } from "./fleet-containers.ts";
import { FLEET_LABEL } from "./plan.ts";

const MIN_RETRY_DELAY_MS = 200;
const MAX_RETRY_DELAY_MS = 2_000;

export interface FollowContext {
  fleetId: string;
  connection: EngineConnection;
  /** Told why the fleet cannot be brought to what it should be just now. */
  onFailure: (error: unknown) => void;
  log: Logger;
  stop: AbortSignal;
}

/**
 * Brings the fleet to what it should be and follows the engine's events; whenever these or the connection break off, it
 * subscribes and looks anew. Resolves when it is stopped.
 */
export async function followEngine(containers: FleetContainers, context: FollowContext): Promise<void> {
  const { fleetId, connection, log, stop } = context;
  while (!stop.aborted) {
    const round = new AbortController();
    let reconciling: Promise<void> | undefined;
    try {
      await connection.waitReady(stop);
      // A stream of events may stay silent on a connection that is dead: what the connection knows ends it.
      const up = AbortSignal.any([stop, round.signal, connection.lostSignal]);
      // Subscribed before the look at what runs, so that a removal comes either before the look or as an event.
      const events = await connection.engine.events(FLEET_LABEL, fleetId, up);
      reconciling = reconcile(containers, context, up);
      for await (const event of events) containers.handle(event);
    } catch (error) {
      if (!stop.aborted) log.warn({ reason: errorText(error) }, "the engine's events broke off");
    }
    round.abort(new Error("the engine's events broke off"));
    await reconciling;
    connection.suspect();
    await delay(MIN_RETRY_DELAY_MS, undefined, { signal: stop }).catch(() => undefined);
  }
}

/** Tries again, ever more slowly, until it succeeds or the signal aborts. */
async function reconcile(
  containers: FleetContainers,
  { onFailure, log }: FollowContext,
  signal: AbortSignal,
): Promise<void> {
  const onFailedAttempt = ({ error }: { error: Error }) => {
    if (signal.aborted) return;
    onFailure(error);
    log.warn({ reason: errorText(error) }, "the fleet could not be reconciled; it is tried again");
  };
  await pRetry(() => containers.reconcile(signal), {
    retries: Number.POSITIVE_INFINITY,
    minTimeout: MIN_RETRY_DELAY_MS,
    maxTimeout: MAX_RETRY_DELAY_MS,
    signal,
    onFailedAttempt,
  }).catch(() => undefined);
}
