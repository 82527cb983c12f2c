import { randomBytes } from "node:crypto";
import type { Outcome } from "#contract/execution.ts";

/** What one run of code is doing; `ended` says how, once and for all. */
export type ExecutionState = { name: "queued" } | { name: "running" } | { name: "ended"; outcome: Outcome };
type StateName = ExecutionState["name"];

/** Which state may follow which. A run that never began ends, too. */
export const EXECUTION_TRANSITIONS = {
  queued: ["running", "ended"],
  running: ["ended"],
  ended: [],
} as const satisfies Record<StateName, readonly StateName[]>;

/** One run of code in a session, as the manager sees it. */
export class Execution {
  readonly id = `exe_${randomBytes(12).toString("hex")}`;
  readonly #onChange: (execution: Execution) => void;
  #state: ExecutionState = { name: "queued" };

  constructor(onChange: (execution: Execution) => void) {
    this.#onChange = onChange;
  }

  get state(): ExecutionState {
    return this.#state;
  }

  /**
   * The one function that changes the state.
   *
   * @throws {Error} for a step that the table does not allow, such as a second outcome
   */
  change(next: ExecutionState): void {
    const allowed: readonly StateName[] = EXECUTION_TRANSITIONS[this.#state.name];
    if (!allowed.includes(next.name)) {
      throw new Error(`an execution cannot go from ${this.#state.name} to ${next.name}`);
    }
    this.#state = next;
    this.#onChange(this);
  }
}
