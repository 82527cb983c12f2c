import { join } from "node:path";
import { ExecutorProcess } from "#tests/support/executor-process.ts";
import type { ManagerCalls } from "./manager-calls.ts";
import { timed } from "./percentiles.ts";
import { measurePersistence } from "./persistence.ts";
import { runBench } from "./run-bench.ts";

/**
 * What persistence adds to the execution of `x=1`: nothing, as nothing is written. Both managers have a session on the
 * same executor, so that no difference between two kernels counts.
 *
 * Usage: FLEET_PYTHON=/path/to/python node bench/execute.ts
 */
const ROUNDS = 30;
const RUNS_PER_ROUND = 50;

async function execute(manager: ManagerCalls): Promise<number[]> {
  const durations: number[] = [];
  for (let run = 0; run < RUNS_PER_ROUND; run += 1)
    durations.push(await timed(() => manager.execute(0, "x=1")));
  return durations;
}

await runBench(async (signal) => {
  await using executor = await ExecutorProcess.start();
  const config = { 0: { url: `unix:${join(executor.dir, "socket")}`, type: "python" } };
  await measurePersistence(
    {
      what: "x=1 on one kernel (python, a process, static backend)",
      onDisk: config,
      inMemory: config,
      rounds: ROUNDS,
      round: execute,
    },
    signal,
  );
});
