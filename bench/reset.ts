import type { ResetKind } from "#contract/executor-api.ts";
import { formatTable } from "#cli/table.ts";
import { chosenBackends, type BackendName } from "./backends.ts";
import { formatMs, percentiles, timed } from "./percentiles.ts";
import { runBench } from "./run-bench.ts";
import { startFleet } from "./start-fleet.ts";

/**
 * From the deallocation of a used Python executor until it is free again. Processes have no limit of their own;
 * containers are measured with the cores that `fleet up` gives them, and with one.
 *
 * Usage: node bench/reset.ts [process|docker]
 */
const RESETS = 20;
/** Processes have their kernel reset, whatever is asked for. */
const SETTINGS: Record<BackendName, readonly Setting[]> = {
  process: [{ kind: "kernel" }],
  docker: [
    { kind: "kernel", cores: "0.25" },
    { kind: "container", cores: "0.25" },
    { kind: "kernel", cores: "1" },
    { kind: "container", cores: "1" },
  ],
};

interface Setting {
  kind: ResetKind;
  /** As many as the machine has without it. */
  cores?: string;
}

async function measure(
  backend: BackendName,
  { kind, cores }: Setting,
  signal: AbortSignal,
): Promise<string[]> {
  const flags = ["--reset", kind, ...(cores === undefined ? [] : ["--cpus", cores])];
  await using fleet = await startFleet({ backend, executors: 1, flags }, signal);
  const durations: number[] = [];
  for (let index = 0; index < RESETS; index += 1) {
    const session = await fleet.manager.allocate();
    await fleet.manager.execute(session, "x = 1");
    durations.push(await timed(() => fleet.manager.deallocate(session)));
  }
  const { p50 } = percentiles(durations);
  const figures = [p50, Math.min(...durations), Math.max(...durations)].map(formatMs);
  return [backend, kind, cores ?? "all", ...figures];
}

await runBench(async (signal) => {
  const rows = [["backend", "reset", "cores", "p50", "min", "max"]];
  for (const backend of await chosenBackends(process.argv[2], signal))
    for (const setting of SETTINGS[backend]) rows.push(await measure(backend, setting, signal));
  process.stdout.write(`deallocate until free, 1 python executor, ${RESETS} resets each\n`);
  for (const line of formatTable(rows)) process.stdout.write(`  ${line}\n`);
});
