import { formatTable } from "#cli/table.ts";
import { chosenBackends, type BackendName } from "./backends.ts";
import type { FleetProcess } from "./fleet-process.ts";
import { ManagerCalls } from "./manager-calls.ts";
import { formatMs, percentiles } from "./percentiles.ts";
import { runBench } from "./run-bench.ts";
import { startFleet } from "./start-fleet.ts";

/**
 * From `kill -9` of a manager with live sessions, which is started again at once, until all of them are served. Each
 * session is asked for its variable once; one that does not tell it is lost.
 *
 * Usage: node bench/manager-restart.ts [process|docker]
 */
const SESSIONS = 20;
const RESTARTS = 5;

/** A session, and what its variable is to be. */
interface Held {
  id: string;
  value: string;
}

/** What followed one kill, in milliseconds from it. */
interface Recovery {
  healthMs: number;
  readyMs: number;
  sessionsMs: number;
  lost: string[];
}

async function openSession(manager: ManagerCalls, index: number): Promise<Held> {
  const held = { id: await manager.allocate(), value: String(1000 + index) };
  await manager.execute(held.id, `x = ${held.value}`);
  return held;
}

async function killAndRecover(
  command: FleetProcess,
  url: string,
  sessions: readonly Held[],
  signal: AbortSignal,
): Promise<Recovery> {
  await using manager = new ManagerCalls(url, signal);
  const killedAt = performance.now();
  const sinceKill = () => performance.now() - killedAt;
  await command.kill();
  await command.start(Number(new URL(url).port));
  const answers = (path: string) =>
    command.until(async () => {
      await manager.call("GET", path);
      return sinceKill();
    }, signal);
  const healthMs = await answers("/health");
  const lossOf = async ({ id, value }: Held) => {
    const found = await manager.evaluate(id, "x").catch(String);
    return found === value ? [] : [`${id}: ${String(found)} instead of ${value}`];
  };
  const asked = Promise.all(sessions.map(lossOf));
  const [readyMs, { lost, sessionsMs }] = await Promise.all([
    answers("/readyz"),
    asked.then((losses) => ({ lost: losses.flat(), sessionsMs: sinceKill() })),
  ]);
  signal.throwIfAborted();
  return { healthMs, readyMs, sessionsMs, lost };
}

async function measure(backend: BackendName, signal: AbortSignal): Promise<void> {
  await using fleet = await startFleet({ backend, executors: SESSIONS }, signal);
  const { command, url, manager } = fleet;
  const sessions = await Promise.all(
    Array.from({ length: SESSIONS }, (_, index) => openSession(manager, index)),
  );
  const recoveries: Recovery[] = [];
  for (let index = 0; index < RESTARTS; index += 1)
    recoveries.push(await killAndRecover(command, url, sessions, signal));

  const row = (name: string, of: (recovery: Recovery) => number) => {
    const durations = recoveries.map(of);
    const figures = [percentiles(durations).p50, Math.min(...durations), Math.max(...durations)];
    return [name, ...figures.map(formatMs)];
  };
  const rows = [
    ["", "p50", "min", "max"],
    row("/health answers", ({ healthMs }) => healthMs),
    row("/readyz is 200", ({ readyMs }) => readyMs),
    row(`${SESSIONS} sessions answered`, ({ sessionsMs }) => sessionsMs),
  ];
  process.stdout.write(
    `${backend}: ${SESSIONS} python executors with a session each, ${RESTARTS} times kill -9 of the manager\n`,
  );
  for (const line of formatTable(rows)) process.stdout.write(`  ${line}\n`);
  const lost = recoveries.flatMap((recovery) => recovery.lost);
  process.stdout.write(`  lost: ${lost.length} of ${SESSIONS * RESTARTS}\n`);
  for (const one of lost) process.stdout.write(`    ${one}\n`);
  if (lost.length > 0) process.exitCode = 1;
}

await runBench(async (signal) => {
  for (const backend of await chosenBackends(process.argv[2], signal)) await measure(backend, signal);
});
