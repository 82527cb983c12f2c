import { setTimeout as delay } from "node:timers/promises";
import { childrenOf, memoryOfTree } from "./process-memory.ts";
import { runBench } from "./run-bench.ts";
import { startFleet } from "./start-fleet.ts";

/**
 * Memory of an idle executor with its kernel, and time from `fleet up` until eight executors are ready. Linux only.
 *
 * Usage: node bench/footprint.ts [process|docker]
 */
const EXECUTORS = 8;
const SETTLE_MS = 3_000;
const MB = 1e6;

await runBench(async (signal) => {
  const backend = process.argv[2] === "docker" ? "docker" : "process";
  await using fleet = await startFleet({ backend, executors: EXECUTORS }, signal);
  process.stdout.write(
    `${backend}: fleet up until ${EXECUTORS} executors are ready: ${(fleet.startMs / 1000).toFixed(2)} s\n`,
  );
  if (backend === "docker") return;
  for (let number = 0; number < EXECUTORS; number += 1) await fleet.manager.execute(number, "x=1");
  await delay(SETTLE_MS, undefined, { signal });
  const executors = await childrenOf(fleet.command.pid);
  const sizes = await Promise.all(executors.map(memoryOfTree));
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  process.stdout.write(
    `idle executor with its kernel: ${(mean / MB).toFixed(0)} MB (proportional, mean of ${sizes.length})\n`,
  );
});
