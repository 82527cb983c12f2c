import type { Logger } from "pino";
import { ServiceError } from "#contract/errors.ts";
import type { ExecutorState as StateName } from "#contract/manager-api.ts";
import type { ExecutorNumber } from "#contract/ids.ts";
import type { ExecutorPlan, Loss } from "./backend.ts";
import { Executor, sessionOf } from "./executor.ts";
import { ExecutorStateMachine, type ExecutorState } from "./executor-state.ts";

/** Told of every change of an executor's state, after it. */
export type StateListener = (executor: Executor, from: ExecutorState) => void;

/** All executors of the manager, and the one place where they change state. */
export class Fleet implements AsyncDisposable {
  readonly #executors = new Map<number, Executor>();
  readonly #machines = new Map<Executor, ExecutorStateMachine>();
  readonly #listeners = new Set<StateListener>();
  readonly #log: Logger;
  /** Free executors in the order in which they became free. */
  readonly #free = new Set<Executor>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Takes the executors that a backend is to start; they begin as `starting`. */
  add(plans: readonly ExecutorPlan[]): void {
    for (const plan of plans) {
      const machine = new ExecutorStateMachine();
      const executor = new Executor(plan, machine);
      this.#executors.set(plan.number, executor);
      this.#machines.set(executor, machine);
    }
  }

  get executors(): Executor[] {
    return [...this.#executors.values()];
  }

  /** @throws {ServiceError} `unknown_container` */
  get(number: number): Executor {
    const executor = this.#executors.get(number);
    if (!executor) throw new ServiceError("unknown_container", `Container ${number} not found`);
    return executor;
  }

  get types(): string[] {
    return [...new Set(this.executors.map((executor) => executor.type))];
  }

  /** The executor that has been free longest among those that match. */
  oldestFree(matches: (executor: Executor) => boolean): Executor | undefined {
    return this.#free.values().find(matches);
  }

  countByState(): Record<StateName, number> {
    const counts = { starting: 0, free: 0, allocated: 0, resetting: 0, unhealthy: 0 };
    for (const executor of this.executors) counts[executor.state.name] += 1;
    return counts;
  }

  /** Tells of every change until the handle is disposed of. */
  onChange(listener: StateListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * The one function that changes an executor's state.
   *
   * @throws {Error} for a step that the transition table does not allow, or an executor of another fleet
   */
  changeState(executor: Executor, next: ExecutorState): void {
    const from = executor.state;
    const machine = this.#machines.get(executor);
    if (!machine) throw new Error(`executor ${executor.number} is not of this fleet`);
    machine.change(next);
    this.#free.delete(executor);
    if (next.name === "free") {
      executor.usedBootId = undefined;
      this.#free.add(executor);
    }
    if (next.name === "allocated") executor.usedBootId = executor.bootId;
    this.#log.info({ executor: executor.number, from: from.name, to: next }, "executor changed state");
    // The newest first: who only watches learns of a change before those who were there from the start act on it,
    // which may change the state again.
    for (const listener of [...this.#listeners].toReversed()) {
      try {
        listener(executor, from);
      } catch (error) {
        // Whoever changes a state has nothing to do with what others make of it.
        this.#log.error(
          { err: error, executor: executor.number },
          "a change of state could not be followed up",
        );
      }
    }
  }

  /** Marks an executor that stopped answering; it keeps its session until it is known what survived. */
  markLost(number: ExecutorNumber, loss: Loss): void {
    const executor = this.get(number);
    if (executor.state.name === "unhealthy") return;
    const sessionId = sessionOf(executor.state);
    this.changeState(executor, { name: "unhealthy", ...loss, ...(sessionId ? { sessionId } : {}) });
  }

  /** Says how an executor was lost, by who knows that better than who noticed that it is lost. */
  tellLoss(number: ExecutorNumber, loss: Loss): void {
    const executor = this.get(number);
    const { state } = executor;
    if (state.name !== "unhealthy") return this.markLost(number, loss);
    const sessionId = sessionOf(state);
    this.changeState(executor, { name: "unhealthy", ...loss, ...(sessionId ? { sessionId } : {}) });
  }

  /** Says that what an earlier manager left of an executor is gone, and why. */
  tellReplaced(number: ExecutorNumber, reason: string): void {
    const { state } = this.get(number);
    if (state.name === "starting") this.changeState(this.get(number), { ...state, replaced: reason });
  }

  /** Says what an executor that is starting waits for. */
  explainStart(number: ExecutorNumber, reason: string): void {
    const { state } = this.get(number);
    if (state.name !== "starting" || state.reason === reason) return;
    this.changeState(this.get(number), { ...state, reason });
  }

  /** Resolves when the executor's state is accepted; rejects with the signal's reason. */
  waitForState(
    executor: Executor,
    accepts: (state: ExecutorState) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const check = () => {
      if (accepts(executor.state)) resolve();
    };
    const abort = () => reject(signal.reason);
    this.#listeners.add(check);
    signal.addEventListener("abort", abort, { once: true });
    check();
    if (signal.aborted) abort();
    return promise.finally(() => {
      this.#listeners.delete(check);
      signal.removeEventListener("abort", abort);
    });
  }

  /**
   * Resolves when an executor that somebody gave back has been cleaned, when it is lost, or when the signal aborts; tells
   * whether it is clean. It may be another's by then.
   */
  async untilClean(executor: Executor, signal: AbortSignal): Promise<boolean> {
    const isClean = ({ name }: ExecutorState) => name === "free" || name === "allocated";
    const settled = (state: ExecutorState) => isClean(state) || state.name === "unhealthy";
    await this.waitForState(executor, settled, signal).catch(() => undefined);
    return isClean(executor.state);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.executors.map((executor) => executor[Symbol.asyncDispose]()));
  }
}
