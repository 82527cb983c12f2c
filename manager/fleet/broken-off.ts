import type { Backend, Loss } from "./backend.ts";
import type { Executor } from "./executor.ts";
import { ExecutorLost } from "./executor-state.ts";
import type { Fleet } from "./fleet.ts";

/** How long the backend may take to find out how an executor ended. */
const EXPLAIN_TIMEOUT_MS = 3_000;

/**
 * Marks an executor whose connection broke under a request as lost, and tells how it was lost as far as its backend
 * can find out. Without that, `reason` is all there is to tell.
 */
export async function markBrokenOff(
  { fleet, backend }: { fleet: Fleet; backend: Backend },
  executor: Executor,
  reason: string,
): Promise<Loss> {
  // Kept as it is now: the executor may be well again before its end is explained.
  const { lostSignal } = executor;
  const explained = await backend
    .explainLoss?.(executor.number, AbortSignal.timeout(EXPLAIN_TIMEOUT_MS))
    .catch(() => undefined);
  if (explained) {
    if (!lostSignal.aborted) fleet.markLost(executor.number, explained);
    return explained;
  }
  if (!lostSignal.aborted) fleet.markLost(executor.number, { reason });
  const told: unknown = lostSignal.reason;
  if (told instanceof ExecutorLost && told.outOfMemory) return { reason: told.message, outOfMemory: true };
  return { reason: told instanceof Error ? told.message : reason };
}
