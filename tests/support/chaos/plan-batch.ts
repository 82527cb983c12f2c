import { Random } from "./random.ts";

/** What a client does in its turn. Where it needs a session and the client has none, one is opened instead. */
export const STEPS = new Map([
  ["increment", 10],
  ["set", 8],
  ["read", 4],
  ["long", 4],
  ["long, interrupted", 3],
  ["long, restarted", 1.5],
  ["long, ended", 1.5],
  ["long, hung up", 2],
  ["long, queued behind", 2],
  ["kernel restart", 2],
  ["kernel suicide", 2],
  ["ensure again", 2],
  ["renew", 2],
  ["show", 2],
  ["use an ended id", 2],
  ["status", 1],
  ["delete", 1.5],
  ["deallocate", 1.5],
  ["deallocate, not waiting", 1],
  ["hang up while opening", 1],
] as const);
export type StepKind = Parameters<typeof STEPS.get>[0];

/** What the villain does. */
export const ACTS = new Map([
  ["manager killed", 4],
  ["manager killed while it starts", 1],
  ["kernel killed", 4],
  ["server killed", 2],
  ["container killed", 2],
  ["container removed", 2],
  ["container paused", 2],
] as const);
export type ActKind = Parameters<typeof ACTS.get>[0];

export interface Step {
  kind: StepKind;
  /** Decides the details. */
  random: Random;
}

export interface Act {
  kind: ActKind;
  /** The executor that it hits, where it hits one. */
  executor: number;
  /** How many steps of the batch have begun by then. */
  afterSteps: number;
}

/** What happens between two quiet moments: one list of steps for each client, and what befalls them. */
export interface Batch {
  steps: Step[][];
  acts: Act[];
}

const MAX_ACTS = 5;

/** Decides a batch in advance: the same random numbers give the same batch, whatever comes of it. */
export function planBatch(
  random: Random,
  { clients, stepsEach, executors }: { clients: number; stepsEach: number; executors: number },
): Batch {
  const step = (): Step => ({ kind: random.weighted(STEPS), random: new Random(random.below(2 ** 32)) });
  const steps = Array.from({ length: clients }, () => Array.from({ length: stepsEach }, step));
  const acts = Array.from({ length: random.below(MAX_ACTS + 1) }, (): Act => {
    const kind = random.weighted(ACTS);
    return { kind, executor: random.below(executors), afterSteps: 1 + random.below(clients * stepsEach) };
  });
  return { steps, acts };
}
