import type { Executor } from "#manager/fleet/executor.ts";
import type { ExecutorState } from "#manager/fleet/executor-state.ts";

/** Why a session ended whose executor came out of that state as nobody's, or as another one's. */
export function endReasonOf({ bootId }: Executor, from: ExecutorState): string {
  if (from.name === "unhealthy") return `executor lost: ${from.reason}`;
  if (from.name === "starting" && from.replaced !== undefined) return `executor lost: ${from.replaced}`;
  if (from.name === "starting" && bootId === undefined)
    return "executor lost: the manager was started again, and the executor has no boot_id to tell that it is the same";
  if (from.name === "starting") return "executor lost: it was started anew while no manager ran";
  return "executor reset";
}
