import { setTimeout as delay } from "node:timers/promises";
import pRetry from "p-retry";
import type { Logger } from "pino";
import { errorText } from "#contract/errors.ts";
import type { ExecutorNumber } from "#contract/ids.ts";
import type { Loss } from "#manager/fleet/backend.ts";
import type { ContainerEvent } from "./container-event.ts";
import { ContainerLives } from "./container-lives.ts";
import type { Desired } from "./desired-containers.ts";
import type { Endpoints } from "./endpoints.ts";
import type { EngineConnection } from "./engine-connection.ts";
import type { ContainerRun, ObservedContainer } from "./engine.ts";
import { EXECUTOR_LABEL, FLEET_LABEL, formatPlan, numberOf, planContainers, type Step } from "./plan.ts";
import { createContainer, restartContainer, startContainer } from "./run-container.ts";
import { removeFleet } from "./remove-fleet.ts";
import { Turns } from "./turns.ts";

/** How long the engine may take to start a container again that ended by itself. */
const ENGINE_RESTART_MS = 2_000;
/** How long the event of an end's cause may come after that of the end. */
const CAUSE_EVENT_MS = 200;
const MIN_RETRY_DELAY_MS = 200;
const MAX_RETRY_DELAY_MS = 10_000;

/** Told what becomes of the containers. */
export interface ContainerListener {
  up: (desired: Desired) => void;
  lost: (number: ExecutorNumber, loss: Loss) => void;
  /** What was in its place before does not do, and is gone. */
  replaced: (number: ExecutorNumber, reason: string) => void;
  /** Its container could not be brought up; that is tried again. */
  failed: (number: ExecutorNumber, error: unknown) => void;
}

export interface FleetContainersContext {
  fleetId: string;
  desired: readonly Desired[];
  endpoints: Endpoints;
  connection: EngineConnection;
  listener: ContainerListener;
  log: Logger;
  /** Ends all attempts. */
  stop: AbortSignal;
}

/** The containers of a fleet, brought to what they should be by observe, plan, apply: one thing at a time for each. */
export class FleetContainers {
  readonly lives: ContainerLives;
  readonly #context: FleetContainersContext;
  readonly #desired: ReadonlyMap<number, Desired>;
  readonly #turns = new Turns();
  /** The executors that are being brought up until that is done. */
  readonly #keeping = new Set<number>();

  constructor(context: FleetContainersContext) {
    this.#context = context;
    this.#desired = new Map(context.desired.map((desired) => [desired.number, desired]));
    this.lives = new ContainerLives((number) => this.#desired.get(number)?.memoryBytes ?? 0);
  }

  get #engine() {
    return this.#context.connection.engine;
  }

  /**
   * Looks at what runs, plans what is missing or too much, and does it. What cannot be brought up is tried again.
   *
   * @throws {Error} when the engine cannot be asked, or does not remove what is too much
   */
  async reconcile(signal: AbortSignal): Promise<void> {
    const { desired, fleetId } = this.#context;
    await this.#turns.take(this.#desired.keys(), async () => {
      const observed = await this.#engine.containersWithLabels({ [FLEET_LABEL]: fleetId }, signal);
      const steps = this.#plan(desired, observed);
      await this.#remove(steps, signal);
      await Promise.all(
        steps.map(async (step) => {
          if (step.do === "remove") return;
          await this.#apply(step, signal).catch((error: unknown) => this.#failed(step.number, error));
        }),
      );
    });
  }

  /** Takes in what the engine tells; what it means depends on what is being done to that container. */
  handle(event: ContainerEvent): void {
    const number = numberOf(event);
    if (!this.#desired.has(number)) return;
    if (event.what === "out_of_memory" || event.what === "killed") {
      this.lives.happened(number, event);
      return;
    }
    this.#turns
      .take([number], () => this.#happened(number, event))
      .catch((error: unknown) => {
        this.#context.log.warn(
          { executor: number, reason: errorText(error) },
          "an event could not be followed up",
        );
        this.keepUp(number);
      });
  }

  /** Ends the run of a container and starts the next one; the container is made where there is none. */
  restart(number: number, signal: AbortSignal): Promise<void> {
    return this.#turns.take([number], async () => {
      const id = this.lives.containerId(number);
      const run = id === undefined ? undefined : await restartContainer(this.#engine, id, signal);
      if (run) return this.lives.begin(number, run);
      this.lives.expectEnd(number);
      await this.#bringUp(number, signal);
    });
  }

  /** Puts a new container into the place of what is there. */
  replace(number: number, signal: AbortSignal): Promise<void> {
    return this.#turns.take([number], async () => {
      const there = await this.#observe(number, signal);
      await Promise.all(there.map(({ id }) => this.#engine.remove(id, signal)));
      this.lives.expectEnd(number);
      await this.#bringUp(number, signal);
    });
  }

  /** Looks at one container at once, and tells its loss if it has ended unnoticed. */
  look(number: number, signal: AbortSignal): Promise<Loss | undefined> {
    return this.#turns.take([number], () => this.#look(number, this.lives.containerId(number), signal));
  }

  /** Brings a container up in the background, again and again until it is, or the connection is lost. */
  keepUp(number: number, { afterMs = 0 } = {}): void {
    if (this.#keeping.has(number)) return;
    this.#keeping.add(number);
    const { stop, connection } = this.#context;
    const signal = AbortSignal.any([stop, connection.lostSignal]);
    void this.#untilUp(number, afterMs, signal)
      // What goes on when the engine is back.
      .catch(() => undefined)
      .finally(() => this.#keeping.delete(number));
  }

  /**
   * Removes every container of the fleet but those of the executors that are kept.
   *
   * @throws {Error} that names what is left
   */
  async removeAll(kept: ReadonlySet<number>): Promise<void> {
    const { fleetId, endpoints } = this.#context;
    const numbers = [...this.#desired.keys()];
    await this.#turns.take(numbers, () => removeFleet(this.#engine, fleetId, { kept }));
    await endpoints.remove(numbers, kept);
  }

  #plan(desired: readonly Desired[], observed: readonly ObservedContainer[]): Step[] {
    const steps = planContainers(desired, observed);
    if (steps.some((step) => step.do !== "keep"))
      this.#context.log.info({ plan: formatPlan(steps) }, "fleet differs from what it should be");
    return steps;
  }

  async #untilUp(number: number, afterMs: number, signal: AbortSignal): Promise<void> {
    await delay(afterMs, undefined, { signal });
    const attempt = () =>
      this.#turns.take([number], async () => {
        await this.#bringUp(number, signal);
        // Still in the turn: what happens to the container from now on asks for another time.
        this.#keeping.delete(number);
      });
    await pRetry(attempt, {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: MIN_RETRY_DELAY_MS,
      maxTimeout: MAX_RETRY_DELAY_MS,
      signal,
      onFailedAttempt: ({ error }) => this.#tellFailure(number, error),
    });
  }

  /** Observe, plan, apply for one executor. */
  async #bringUp(number: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const desired = this.#desired.get(number);
    if (!desired) return;
    const steps = this.#plan([desired], await this.#observe(number, signal));
    await this.#remove(steps, signal);
    for (const step of steps) if (step.do !== "remove") await this.#apply(step, signal);
  }

  async #observe(number: number, signal: AbortSignal): Promise<ObservedContainer[]> {
    const labels = { [FLEET_LABEL]: this.#context.fleetId, [EXECUTOR_LABEL]: String(number) };
    return await this.#engine.containersWithLabels(labels, signal);
  }

  /** Waits for every removal, so that nothing goes on behind the back of who learns that one failed. */
  async #remove(steps: readonly Step[], signal: AbortSignal): Promise<void> {
    const removals = steps.filter((step) => step.do === "remove");
    const results = await Promise.allSettled(
      removals.map(({ containerId }) => this.#engine.remove(containerId, signal)),
    );
    const failures = results.flatMap((result): unknown[] =>
      result.status === "rejected" ? [result.reason] : [],
    );
    if (failures.length > 0) throw new AggregateError(failures);
  }

  async #apply(step: Exclude<Step, { do: "remove" }>, signal: AbortSignal): Promise<void> {
    const desired = this.#desired.get(step.number);
    if (!desired) return;
    const { number, endpoint } = desired;
    const known = step.do === "create" ? undefined : step.containerId;
    await this.#look(number, known, signal);
    if (step.do === "create" && step.replaces !== undefined)
      this.#context.listener.replaced(number, `its container was replaced: ${step.replaces}`);
    if (step.do !== "keep") {
      await this.#context.endpoints.prepare(endpoint, signal);
      const id = known ?? (await createContainer(this.#engine, desired, this.#context.connection.lostSignal));
      this.lives.begin(number, await startContainer(this.#engine, id, { number, signal }));
    }
    this.#context.listener.up(desired);
  }

  async #happened(number: number, event: ContainerEvent): Promise<void> {
    if (!this.lives.isPresent(number, event)) return;
    const { connection, stop } = this.#context;
    const signal = AbortSignal.any([stop, connection.lostSignal]);
    signal.throwIfAborted();
    if (event.what === "started") {
      if (this.lives.hasEnded(number)) await this.#look(number, event.containerId, signal);
      return;
    }
    let run: ContainerRun | undefined;
    if (event.what === "died" && this.lives.isUnexplained(number, event)) {
      // Events of the memory limit come by another way than those of an end; some engines send none.
      await delay(CAUSE_EVENT_MS, undefined, { signal });
      run = await this.#engine.inspect(event.containerId, signal).catch(() => undefined);
    }
    this.#tell(number, this.lives.happened(number, event, run));
    if (event.what === "removed") this.keepUp(number);
    // The engine starts a container again that ended by itself, but not one that somebody stopped or killed.
    if (event.what === "died") this.keepUp(number, { afterMs: ENGINE_RESTART_MS });
  }

  async #look(number: number, id: string | undefined, signal: AbortSignal): Promise<Loss | undefined> {
    const run = id === undefined ? undefined : await this.#engine.inspect(id, signal);
    const loss = this.lives.found(number, run);
    this.#tell(number, loss);
    return loss;
  }

  #tell(number: number, loss: Loss | undefined): void {
    const desired = this.#desired.get(number);
    if (loss && desired) this.#context.listener.lost(desired.number, loss);
  }

  #failed(number: number, error: unknown): void {
    this.#tellFailure(number, error);
    this.keepUp(number, { afterMs: MIN_RETRY_DELAY_MS });
  }

  #tellFailure(number: number, error: unknown): void {
    const { log, listener, stop } = this.#context;
    if (stop.aborted) return;
    log.warn({ executor: number, reason: errorText(error) }, "a container could not be brought up");
    const desired = this.#desired.get(number);
    if (desired) listener.failed(desired.number, error);
  }
}
