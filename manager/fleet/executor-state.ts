import type { ExecutorState as StateName } from "#contract/manager-api.ts";
import type { SessionId } from "#contract/ids.ts";
import type { Loss } from "./backend.ts";

/**
 * What an executor is doing, with what belongs to that. `starting` and `unhealthy` keep the claim of a session until it
 * is known whether the kernel's state is still there.
 */
export type ExecutorState =
  /** `replaced` is why what ran in its place before is known to be gone. */
  | { name: "starting"; reason: string; sessionId?: SessionId; replaced?: string }
  | { name: "free" }
  | { name: "allocated"; sessionId: SessionId }
  | { name: "resetting"; reason: string }
  | ({ name: "unhealthy"; sessionId?: SessionId } & Loss);

/** Which state may follow which. An executor becomes free only from states in which it is known to be clean. */
export const EXECUTOR_TRANSITIONS = {
  starting: ["starting", "free", "allocated", "resetting", "unhealthy"],
  free: ["allocated", "unhealthy", "starting"],
  allocated: ["resetting", "unhealthy"],
  resetting: ["free", "unhealthy"],
  unhealthy: ["unhealthy", "allocated", "resetting", "free"],
} as const satisfies Record<StateName, readonly StateName[]>;

/** Why an executor does not answer any more: the reason of its `lostSignal`. */
export class ExecutorLost extends Error {
  override readonly name = "ExecutorLost";
  readonly outOfMemory: boolean;

  constructor({ reason, outOfMemory }: Loss) {
    super(reason);
    this.outOfMemory = outOfMemory ?? false;
  }
}

/** The state of one executor. Its fleet holds it, so that nobody else can change it. */
export class ExecutorStateMachine {
  #state: ExecutorState = { name: "starting", reason: "the fleet starts" };
  #lost = new AbortController();

  get state(): ExecutorState {
    return this.#state;
  }

  /** Aborted with {@link ExecutorLost} when the executor stops answering. */
  get lostSignal(): AbortSignal {
    return this.#lost.signal;
  }

  /** @throws {Error} for a step that the transition table does not allow. */
  change(next: ExecutorState): void {
    assertTransition(this.#state.name, next.name);
    if (this.#state.name === "unhealthy" && next.name !== "unhealthy") this.#lost = new AbortController();
    this.#state = next;
    if (next.name === "unhealthy") this.#lost.abort(new ExecutorLost(next));
  }
}

/** @throws {Error} when the table does not allow the step: a bug of the manager. */
export function assertTransition(from: StateName, to: StateName): void {
  const allowed: readonly StateName[] = EXECUTOR_TRANSITIONS[from];
  if (!allowed.includes(to)) throw new Error(`an executor cannot go from ${from} to ${to}`);
}
