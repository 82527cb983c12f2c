import type { ExecutorStatus, Status } from "#contract/manager-api.ts";
import type { Backend } from "./backend.ts";
import { sessionOf, type Executor } from "./executor.ts";
import type { Fleet } from "./fleet.ts";

/** What `/status` tells. The counts are taken from the states, so that they always add up. */
export function statusOf(fleet: Fleet, backend: Backend, waiting: number): Status {
  const counts = fleet.countByState();
  const { executors } = fleet;
  const inState = (name: Executor["state"]["name"]) => executors.filter(({ state }) => state.name === name);
  const free = inState("free");
  return {
    available_containers: counts.free,
    available_by_type: Object.fromEntries(
      fleet.types.map((type) => [type, free.filter((executor) => executor.type === type).length]),
    ),
    allocated_containers: counts.allocated,
    total_containers: executors.length,
    allocated_container_ids: inState("allocated").map(({ number }) => number),
    starting_containers: counts.starting,
    resetting_containers: counts.resetting,
    unhealthy_containers: counts.unhealthy,
    waiting_allocations: waiting,
    backend: backend.name,
    warnings: [...backend.warnings],
    executors: executors.map(executorStatus),
  };
}

/** One executor as the API tells it. */
export function executorStatus(executor: Executor): ExecutorStatus {
  const { number, type, url, state, warnings, reset } = executor;
  const sessionId = sessionOf(state);
  return {
    container_id: number,
    type,
    state: state.name,
    ...("reason" in state ? { reason: state.reason } : {}),
    ...(url === undefined ? {} : { url }),
    ...(sessionId ? { session_id: sessionId } : {}),
    reset,
    warnings,
  };
}
