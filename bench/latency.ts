import { join } from "node:path";
import { startBareKernel } from "./bare-kernel.ts";
import { formatMs, percentiles, timed } from "./percentiles.ts";
import { runBench } from "./run-bench.ts";
import { startFleet } from "./start-fleet.ts";

/**
 * Latency of the cell `x=1` through the manager, beside a stock kernel of the same version on its bare sockets. Both
 * take turns in short rounds, so that a noisy machine treats them alike; the ratio is what counts.
 *
 * Usage: FLEET_PYTHON=/path/to/python node bench/latency.ts
 */
const ROUNDS = 10;
const RUNS_PER_ROUND = 50;
const CLIENTS = 4;
const CODE = "x=1";

async function round(call: () => Promise<void>, signal: AbortSignal): Promise<number[]> {
  const durations: number[] = [];
  for (let run = 0; run < RUNS_PER_ROUND; run += 1) {
    signal.throwIfAborted();
    durations.push(await timed(call));
  }
  return durations;
}

await runBench(async (signal) => {
  const python = process.env["FLEET_PYTHON"] ?? join(import.meta.dirname, "../.venv/bin/python");
  await using fleet = await startFleet({ backend: "process", executors: CLIENTS }, signal);
  await using kernel = await startBareKernel(python);
  const viaFleet = () => fleet.manager.execute(0, CODE);
  const bare = () => kernel.execute(CODE);

  await round(viaFleet, signal);
  await round(bare, signal);
  const durations: { fleet: number[]; bare: number[] } = { fleet: [], bare: [] };
  for (let index = 0; index < ROUNDS; index += 1) {
    durations.fleet.push(...(await round(viaFleet, signal)));
    durations.bare.push(...(await round(bare, signal)));
  }

  const [ours, theirs] = [percentiles(durations.fleet), percentiles(durations.bare)];
  process.stdout.write(`x=1, one client, ${durations.fleet.length} runs each, taking turns\n`);
  for (const rank of ["p50", "p95", "p99"] as const) {
    const ratio = (ours[rank] / theirs[rank]).toFixed(2);
    process.stdout.write(
      `  ${rank}  manager ${formatMs(ours[rank])}  bare kernel ${formatMs(theirs[rank])}  ratio ${ratio}\n`,
    );
  }

  const startedAt = performance.now();
  const perClient = ROUNDS * RUNS_PER_ROUND;
  const concurrent: number[] = [];
  await Promise.all(
    Array.from({ length: CLIENTS }, async (_, client) => {
      for (let run = 0; run < perClient; run += 1)
        concurrent.push(await timed(() => fleet.manager.execute(client, CODE)));
    }),
  );
  const perSecond = (CLIENTS * perClient * 1000) / (performance.now() - startedAt);
  const all = percentiles(concurrent);
  process.stdout.write(
    `${CLIENTS} clients on ${CLIENTS} executors: ${perSecond.toFixed(0)} executions/s, ` +
      `p50 ${formatMs(all.p50)}, p95 ${formatMs(all.p95)}, p99 ${formatMs(all.p99)}\n`,
  );
});
