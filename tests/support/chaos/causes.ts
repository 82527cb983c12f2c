import type { ActKind } from "./plan-batch.ts";

/** Ends of an executor's process, by which its session must end. */
const DEADLY: readonly ActKind[] = ["server killed", "container killed", "container removed"];

/** What was done in the present batch: whatever clients are told has to have its cause there. */
export class Causes {
  readonly #acts: { kind: ActKind; executor: number }[] = [];

  add(kind: ActKind, executor: number): void {
    this.#acts.push({ kind, executor });
  }

  get any(): boolean {
    return this.#acts.length > 0;
  }

  get managerKilled(): boolean {
    return this.#acts.some(({ kind }) => kind.startsWith("manager killed"));
  }

  /** Whether one of those things was done to an executor. */
  has(executor: number, ...kinds: readonly ActKind[]): boolean {
    return this.#acts.some((act) => act.executor === executor && kinds.includes(act.kind));
  }

  /** Whether an executor's process was, or may have been, ended. */
  isDeadly(executor: number): boolean {
    return this.has(executor, ...DEADLY);
  }

  /** Whether an executor may have given no answer for a while. */
  isDisturbed(executor: number): boolean {
    return this.managerKilled || this.isDeadly(executor) || this.has(executor, "container paused");
  }

  get text(): string {
    const acts = this.#acts.map(({ kind, executor }) =>
      kind.startsWith("manager") ? kind : `${kind} (executor ${executor})`,
    );
    return acts.length === 0 ? "nothing" : acts.join(", ");
  }
}
