import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { endAll, sessionSteps, takeStep } from "#tests/support/session-steps.ts";
import { SessionWorld } from "#tests/support/session-world.ts";
import { formatTable } from "#cli/table.ts";
import { runBench } from "./run-bench.ts";

/**
 * Random session operations in one process, among them crashes of executors and of the manager, over executors that
 * are states only and with a clock of their own. What clients were told and what the counters say is checked after every
 * one, which is not in the time; the exit code is 1 when anything drifts.
 *
 * Usage: node bench/session-operations.ts [seed]
 */
const OPERATIONS = 100_000;
/** Operations that are made up at once. */
const SAMPLE = 100;
const TYPES = Array.from({ length: 8 }, (_, number) => (number < 6 ? "python" : "typescript"));

setFlagsFromString("--expose-gc");
const collectGarbage: unknown = runInNewContext("gc");

/** What is in use, garbage aside. Source: `process.memoryUsage`. */
async function memory(): Promise<{ heap: number; resident: number }> {
  if (typeof collectGarbage === "function") {
    collectGarbage();
    // What is freed by finalizers is garbage only after they have run.
    await nextTurn();
    collectGarbage();
  }
  const { heapUsed, rss } = process.memoryUsage();
  return { heap: heapUsed, resident: rss };
}

function formatMb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

await runBench(async (signal) => {
  const seed = Number(process.argv[2] ?? 1);
  const steps = sessionSteps(TYPES.length);
  await using world = new SessionWorld(TYPES);
  const waiting: Promise<void>[] = [];
  await world.settle();
  process.stdout.write(
    `${OPERATIONS} random operations, seed ${seed}, ${TYPES.length} executors (states only), sessions in memory\n`,
  );
  const before = await memory();
  let busyMs = 0;
  let done = 0;
  let opened = 0;
  let known = new Set<string>();
  try {
    while (done < OPERATIONS) {
      signal.throwIfAborted();
      // Short samples, each with a seed of its own: what they are made of is no part of the memory measured.
      const sample = fc.sample(steps, { seed: seed * OPERATIONS + done, numRuns: SAMPLE });
      for (const step of sample) {
        const startedAt = performance.now();
        await takeStep(world, step, waiting);
        // Clients learn what came of it.
        await nextTurn();
        busyMs += performance.now() - startedAt;
        done += 1;
        const claimed = new Set<string>(world.claimed);
        opened += claimed.difference(known).size;
        known = claimed;
        world.check();
      }
    }
    await endAll(world, waiting);
    const { free } = world.fleet.countByState();
    if (free !== TYPES.length) throw new Error(`${free} of ${TYPES.length} executors are free in the end`);
  } catch (error) {
    signal.throwIfAborted();
    const what = error instanceof Error ? error.message : String(error);
    process.stdout.write(`  drifted after ${done} operations: ${what}\n`);
    process.exitCode = 1;
    return;
  }
  const after = await memory();
  const rows = [
    ["operations/s", Math.round((done / busyMs) * 1000).toString()],
    ["sessions opened", String(opened)],
    ["heap before, after", `${formatMb(before.heap)}, ${formatMb(after.heap)}`],
    ["resident before, after", `${formatMb(before.resident)}, ${formatMb(after.resident)}`],
    ["drift", `none in ${done} checks; all executors are free in the end`],
  ];
  for (const line of formatTable(rows)) process.stdout.write(`  ${line}\n`);
});
