import { MIB } from "#compose/parse-limits.ts";
import type { Loss } from "#manager/fleet/backend.ts";
import type { ContainerEvent } from "./container-event.ts";
import type { ContainerRun } from "./engine.ts";

/** Exit code of a process that SIGKILL ended, as the kernel does it at the memory limit. */
const KILLED = 137;
/** How long before a container's end something may have happened to be taken for its cause. */
const CAUSE_BEFORE_END_MS = 2_000;
/** How long an end is the explanation of a connection that breaks. */
const RECENT_MS = 2_000;

/** What is known of the container of one executor. All times by the engine's clock. */
interface Life extends Pick<ContainerRun, "containerId" | "startedAt"> {
  /** Whether the end of this run was told as a loss, or asked for. */
  endIsKnown: boolean;
  /** When the memory limit last struck, and when somebody last had the engine send a signal. */
  outOfMemoryAt?: number;
  killedAt?: number;
  /** Whether it struck earlier in this run, so that `oomKilled` says nothing about its end. */
  oomKilledBefore: boolean;
}

/**
 * Tells an executor's loss from what the manager itself does to its container. A run of a container is known by its
 * start time: an end before that belongs to an earlier run. Every loss is told once.
 */
export class ContainerLives {
  readonly #lives = new Map<number, Life>();
  readonly #losses = new Map<number, { loss: Loss; at: number }>();
  readonly #memoryBytes: (number: number) => number;

  /** `memoryBytes` tells the memory limit of an executor. */
  constructor(memoryBytes: (number: number) => number) {
    this.#memoryBytes = memoryBytes;
  }

  /** The container that serves the number, as far as is known. */
  containerId(number: number): string | undefined {
    return this.#lives.get(number)?.containerId;
  }

  /** The executors that have, or had, a container. */
  get numbers(): number[] {
    return [...this.#lives.keys()];
  }

  /** Whether the end of the last known run is known, so that another one may have begun. */
  hasEnded(number: number): boolean {
    return this.#lives.get(number)?.endIsKnown ?? false;
  }

  /** Whether an event belongs to the last known run, or to a later one of the same container. */
  isPresent(number: number, { containerId, at }: ContainerEvent): boolean {
    const life = this.#lives.get(number);
    return life?.containerId === containerId && at >= life.startedAt;
  }

  /** A run that the manager asked for: the end of the one before is no loss. */
  begin(number: number, run: ContainerRun): void {
    const { containerId, startedAt, oomKilled } = run;
    this.#lives.set(number, { containerId, startedAt, endIsKnown: false, oomKilledBefore: oomKilled });
  }

  /** From here on an end of the present run is asked for. */
  expectEnd(number: number): void {
    const life = this.#lives.get(number);
    if (life) life.endIsKnown = true;
  }

  /** What a look at the container told, `undefined` for one that is gone. */
  found(number: number, run: ContainerRun | undefined): Loss | undefined {
    const life = this.#lives.get(number);
    let loss: Loss | undefined;
    if (life && isAnother(life, run)) loss = this.#end(number, life, () => lossUnseen(life, run));
    else if (life && run && !run.running) loss = this.#end(number, life, () => this.#lossOf(number, run));
    if (run && (!life || isAnother(life, run))) this.begin(number, run);
    return loss;
  }

  /** Whether an end may have a cause of which no event has come yet. */
  isUnexplained(number: number, { at, exitCode }: ContainerEvent): boolean {
    const life = this.#lives.get(number);
    return (
      exitCode === KILLED &&
      life !== undefined &&
      !isClose(life.killedAt, at) &&
      !isClose(life.outOfMemoryAt, at)
    );
  }

  /** What the engine told. `run`, the container as it is after its end, makes up for an `oom` event that did not come. */
  happened(number: number, event: ContainerEvent, run?: ContainerRun): Loss | undefined {
    const life = this.#lives.get(number);
    if (!life || !this.isPresent(number, event)) return undefined;
    const { at, exitCode = 0 } = event;
    switch (event.what) {
      case "started":
        return undefined;
      case "out_of_memory":
        life.outOfMemoryAt = at;
        return undefined;
      case "killed":
        life.killedAt = at;
        return undefined;
      case "removed":
        return this.#end(number, life, () => ({ reason: "its container was removed" }));
      case "died":
        return this.#end(number, life, () =>
          this.#lossOf(number, { exitCode, at, oomKilled: run?.oomKilled ?? false }),
        );
    }
  }

  /** The loss that was told just now, if any. */
  recentLoss(number: number): Loss | undefined {
    const told = this.#losses.get(number);
    return told && performance.now() - told.at < RECENT_MS ? told.loss : undefined;
  }

  /** Whether the container still runs as it did when it was last heard of. */
  runsOn(number: number, run: ContainerRun | undefined): boolean {
    const life = this.#lives.get(number);
    return life !== undefined && run !== undefined && run.running && !isAnother(life, run);
  }

  #end(number: number, life: Life, lossOf: () => Loss): Loss | undefined {
    if (life.endIsKnown) return undefined;
    life.endIsKnown = true;
    const loss = lossOf();
    this.#losses.set(number, { loss, at: performance.now() });
    return loss;
  }

  /** `at` is when it ended, where that is known. */
  #lossOf(number: number, end: { exitCode: number; oomKilled: boolean; at?: number }): Loss {
    const life = this.#lives.get(number);
    if (end.exitCode !== KILLED || !life || !hasRunOutOfMemory(life, end))
      return { reason: `its container ended with exit code ${end.exitCode}` };
    const limit = Math.round(this.#memoryBytes(number) / MIB);
    return { reason: `its container was killed by the memory limit (${limit} MiB)`, outOfMemory: true };
  }
}

/** Only by events: engines keep `oomKilled` also of a process whose end the container survived. */
function hasRunOutOfMemory(life: Life, { oomKilled, at }: { oomKilled: boolean; at?: number }): boolean {
  const { outOfMemoryAt, killedAt, oomKilledBefore } = life;
  if (isClose(killedAt, at)) return false;
  if (outOfMemoryAt !== undefined) return isClose(outOfMemoryAt, at);
  return oomKilled && !oomKilledBefore;
}

/** Whether a possible cause came close before an end, or, where it is not known when that was, at all. */
function isClose(cause: number | undefined, end: number | undefined): boolean {
  return cause !== undefined && (end === undefined || end - cause < CAUSE_BEFORE_END_MS);
}

function isAnother(life: Life, run: ContainerRun | undefined): boolean {
  return run?.containerId !== life.containerId || run.startedAt !== life.startedAt;
}

/** Why a run is over whose end was not seen. */
function lossUnseen(life: Life, run: ContainerRun | undefined): Loss {
  return run?.containerId === life.containerId
    ? { reason: "its container ended with the engine" }
    : { reason: "its container was removed" };
}
