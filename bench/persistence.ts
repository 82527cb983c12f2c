import type { ContainerConfig } from "#contract/container-config.ts";
import { formatTable } from "#cli/table.ts";
import type { ManagerCalls } from "./manager-calls.ts";
import { formatMs, percentiles } from "./percentiles.ts";
import { startStaticManager } from "./static-manager.ts";

/** What is measured against two managers, one of which writes to disk. */
export interface PersistenceBench {
  what: string;
  /** The executors of both managers; the same ones where they do not get in each other's way. */
  onDisk: ContainerConfig;
  inMemory: ContainerConfig;
  rounds: number;
  /** One round; tells how long each call took, in milliseconds. */
  round: (manager: ManagerCalls) => Promise<number[]>;
}

/** Lets both managers take turns in short rounds, so that a noisy machine treats them alike, and prints the figures. */
export async function measurePersistence(
  { what, onDisk, inMemory, rounds, round }: PersistenceBench,
  signal: AbortSignal,
): Promise<void> {
  // Both are there before anything runs, or the second would take the executors of the first for used ones.
  await using persistent = await startStaticManager(onDisk, { persists: true, signal });
  await using volatile = await startStaticManager(inMemory, { persists: false, signal });
  const sides = [
    { name: "sessions on disk", calls: persistent.calls, durations: new Array<number>() },
    { name: "sessions in memory", calls: volatile.calls, durations: new Array<number>() },
  ] as const;
  for (const { calls } of sides) await round(calls);
  for (let index = 0; index < rounds; index += 1) {
    // Nobody is always first after the other's round.
    const order = index % 2 === 0 ? sides : sides.toReversed();
    for (const { calls, durations } of order) durations.push(...(await round(calls)));
  }

  const [disk, memory] = sides.map(({ durations }) => percentiles(durations));
  if (!disk || !memory) return;
  const rows = sides.map(({ name, durations }) => {
    const { p50, p95, p99 } = percentiles(durations);
    return [name, ...[p50, p95, p99, Math.max(...durations)].map(formatMs)];
  });
  process.stdout.write(`${what}, one client, ${sides[0].durations.length} times each, taking turns\n`);
  for (const line of formatTable([["", "p50", "p95", "p99", "max"], ...rows]))
    process.stdout.write(`  ${line}\n`);
  process.stdout.write(`  persistence adds ${formatMs(disk.p50 - memory.p50)} (p50)\n`);
}
