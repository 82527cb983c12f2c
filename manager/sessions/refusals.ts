import { ServiceError } from "#contract/errors.ts";
import type { Executor } from "#manager/fleet/executor.ts";

/** @throws {ServiceError} `executor_unavailable` */
export function assertAvailable(executor: Executor): void {
  if (executor.state.name === "unhealthy") throw unavailable(executor);
}

/** The refusal of what needs a session, on an executor that has none. */
export function notAllocated({ number }: Executor): ServiceError {
  return new ServiceError("not_allocated", `Container ${number} is not allocated or invalid`);
}

/** The refusal of what needs an executor that is not free, or not started, in time. */
export function notYet({ number, state }: Executor): ServiceError {
  const what = state.name === "allocated" ? "being prepared for somebody else" : state.name;
  return new ServiceError("executor_unavailable", `Container ${number} is ${what}`, { retryAfter: 1 });
}

/** The refusal of what needs an executor that does not work. */
export function unavailable({ number, state }: Executor, error?: unknown): ServiceError {
  const cause = error ?? ("reason" in state ? new Error(state.reason) : undefined);
  return new ServiceError("executor_unavailable", `Container ${number} is not available`, { cause });
}
