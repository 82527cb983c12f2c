import type { ContainerConfig } from "#contract/container-config.ts";
import { startScriptedExecutor } from "#tests/support/scripted-executor.ts";
import type { ManagerCalls } from "./manager-calls.ts";
import { timed } from "./percentiles.ts";
import { measurePersistence } from "./persistence.ts";
import { runBench } from "./run-bench.ts";

/**
 * How long `POST /allocate` takes while executors are free, and what of that is writing the session down. The executors
 * only answer, since the manager is what is measured. In a round all are allocated one after another; then they are
 * given back and reset, which is not measured.
 *
 * Usage: node bench/allocate.ts
 */
const EXECUTORS = 40;
const ROUNDS = 50;

async function allocateAll(manager: ManagerCalls): Promise<number[]> {
  const durations: number[] = [];
  const sessions: string[] = [];
  for (let index = 0; index < EXECUTORS; index += 1)
    durations.push(await timed(async () => sessions.push(await manager.allocate())));
  await Promise.all(sessions.map((session) => manager.deallocate(session)));
  return durations;
}

await runBench(async (signal) => {
  await using cleanup = new AsyncDisposableStack();
  const startExecutors = async (): Promise<ContainerConfig> => {
    const places = Array.from({ length: EXECUTORS }, async (_, number) => {
      const { url } = cleanup.use(await startScriptedExecutor({}));
      return [number, { url, type: "python" }] as const;
    });
    return Object.fromEntries(await Promise.all(places));
  };
  await measurePersistence(
    {
      what: `allocate of ${EXECUTORS} free executors (scripted, static backend)`,
      onDisk: await startExecutors(),
      inMemory: await startExecutors(),
      rounds: ROUNDS,
      round: allocateAll,
    },
    signal,
  );
});
