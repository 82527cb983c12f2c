import type { KernelState } from "#contract/executor-api.ts";

/** Which state may follow which. */
const TRANSITIONS: Record<KernelState, readonly KernelState[]> = {
  starting: ["loading", "restarting", "dead"],
  loading: ["idle", "restarting", "dead"],
  idle: ["busy", "restarting", "dead"],
  busy: ["idle", "restarting", "dead"],
  restarting: ["restarting", "loading", "dead"],
  dead: ["restarting"],
};

/** Why a state that takes no code takes none; `dead` has a reason of its own each time. */
const REASONS = {
  starting: "kernel_not_started",
  loading: "code_loading",
  restarting: "kernel_restarting",
} as const;

/** The state of one kernel. Every state but `idle` and `busy` has a reason. */
export class KernelLifecycle {
  #state: KernelState = "starting";
  #deathReason = "";

  get state(): KernelState {
    return this.#state;
  }

  get reason(): string | undefined {
    switch (this.#state) {
      case "idle":
      case "busy":
        return undefined;
      case "dead":
        return this.#deathReason;
      case "starting":
      case "loading":
      case "restarting":
        return REASONS[this.#state];
    }
  }

  /**
   * Goes to another state.
   *
   * @throws {Error} when the table has no such transition.
   */
  change(next: Exclude<KernelState, "dead">): void {
    this.#enter(next);
  }

  /** Goes to `dead`: only a new start leads out of it. */
  die(reason: string): void {
    this.#enter("dead");
    this.#deathReason = reason;
  }

  #enter(next: KernelState): void {
    if (!TRANSITIONS[this.#state].includes(next)) {
      throw new Error(`A kernel cannot go from ${this.#state} to ${next}`);
    }
    this.#state = next;
  }
}
