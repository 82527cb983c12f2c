import { ChaosClient } from "./chaos-client.ts";
import { ChaosFleet, type ChaosFleetSettings } from "./chaos-fleet.ts";
import { ChaosWorld } from "./chaos-world.ts";
import { Journal, Violation } from "./journal.ts";
import { planBatch, type Batch } from "./plan-batch.ts";
import { holdQuietMoment } from "./quiet-moment.ts";
import { Random } from "./random.ts";
import { Villain } from "./villain.ts";

export interface ChaosSettings extends ChaosFleetSettings {
  seed: number;
  /** Steps of all clients together; the last batch is done to its end. */
  operations: number;
  clients: number;
  /** Aborted when the run is to end early. */
  signal?: AbortSignal;
  /** Told after every quiet moment. */
  onQuiet?: (operations: number) => void;
}

const STEPS_EACH = 10;
const TRACE_LINES = 150;

/** A run in which every promise was kept. */
export interface ChaosResult {
  operations: number;
  batches: number;
  seconds: number;
  journal: Journal;
}

/**
 * Lets clients use a real fleet while its manager, kernels, servers and containers are killed, and holds all that they
 * are told against what they did and what was done to them.
 *
 * @throws {Violation} that names the seed, what was broken, and what happened before
 */
export async function runChaos(settings: ChaosSettings): Promise<ChaosResult> {
  const begun = performance.now();
  const { seed, clients: count, executors, signal } = settings;
  const journal = new Journal();
  await using fleet = await ChaosFleet.make(settings);
  const world = new ChaosWorld(fleet, journal);
  try {
    await fleet.start();
    const random = new Random(seed);
    const villain = new Villain(world);
    const clients = Array.from({ length: count }, (_, index) => new ChaosClient(world, index));
    let operations = 0;
    let batches = 0;
    while (operations < settings.operations) {
      signal?.throwIfAborted();
      await runBatch(
        planBatch(random, { clients: count, stepsEach: STEPS_EACH, executors }),
        clients,
        villain,
      );
      operations += count * STEPS_EACH;
      batches += 1;
      await holdQuietMoment(world);
      settings.onQuiet?.(operations);
    }
    await villain.act({ kind: "manager killed", executor: 0, afterSteps: 0 });
    await holdQuietMoment(world, { all: true });
    const left = await fleet.down();
    if (left.length > 0) throw new Violation(`fleet down left ${left.map(({ name }) => name).join()}`);
    return { operations, batches, seconds: (performance.now() - begun) / 1000, journal };
  } catch (error) {
    if (signal?.aborted) throw error;
    const trace = journal.trace.slice(-TRACE_LINES).join("\n");
    const logs = (await fleet.logs()).join("\n");
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Violation(`seed ${seed}: ${what}\n\nwhat happened:\n${trace}\n\nthe managers' logs:\n${logs}`);
  }
}

/** Every client does its steps one after the other, all clients at once; each act comes after so many steps. */
async function runBatch(
  { steps, acts }: Batch,
  clients: readonly ChaosClient[],
  villain: Villain,
): Promise<void> {
  let begun = 0;
  const doing: Promise<void>[] = [];
  const stepsOf = async (client: ChaosClient, index: number) => {
    for (const step of steps[index] ?? []) {
      begun += 1;
      doing.push(...acts.filter(({ afterSteps }) => afterSteps === begun).map((act) => villain.act(act)));
      await client.step(step);
    }
  };
  const results = await Promise.allSettled(clients.map(stepsOf));
  results.push(...(await Promise.allSettled(doing)));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}
