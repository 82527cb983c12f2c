import type { BackendName } from "./backends.ts";
import { FleetProcess } from "./fleet-process.ts";
import { ManagerCalls } from "./manager-calls.ts";

/** A fleet whose executors are all free. */
export interface BenchFleet extends AsyncDisposable {
  readonly command: FleetProcess;
  readonly url: string;
  readonly manager: ManagerCalls;
  /** From the command's start until every executor was free, in milliseconds. */
  readonly startMs: number;
}

/**
 * Starts `fleet up` with that many Python executors and waits until all are free. `flags` are more of the command's.
 *
 * @throws {Error} when it ends or is not ready in time, or the signal's reason; nothing is left behind then.
 */
export async function startFleet(
  { backend, executors, flags = [] }: { backend: BackendName; executors: number; flags?: readonly string[] },
  signal: AbortSignal,
): Promise<BenchFleet> {
  await using cleanup = new AsyncDisposableStack();
  const command = cleanup.use(
    await FleetProcess.prepare(["--backend", backend, "-n", String(executors), ...flags]),
  );
  const startedAt = performance.now();
  await command.start();
  const url = await command.url(signal);
  const manager = cleanup.use(new ManagerCalls(url, signal));
  const allFree = async () => (await manager.status()).available_containers === executors || undefined;
  await command.until(allFree, signal);
  const startMs = performance.now() - startedAt;
  const running = cleanup.move();
  return { command, url, manager, startMs, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
