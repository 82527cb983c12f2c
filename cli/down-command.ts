import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { Command } from "commander";
import { z } from "zod";
import { errorText } from "#contract/errors.ts";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { removeFleet } from "#manager/fleet/docker/remove-fleet.ts";
import { endLeftovers } from "#manager/fleet/process/end-leftovers.ts";
import { endSessions } from "#manager/sessions/end-sessions.ts";
import type { CliContext } from "./cli-context.ts";
import { CliError } from "./cli-error.ts";
import { DataDir, type FleetState } from "./data-dir.ts";
import { ExclusiveLock } from "./exclusive-lock.ts";
import { reporter } from "./reporter.ts";

const flagsSchema = z.object({ dataDir: z.string().optional() });

const STOP_LIMIT_MS = 30_000;
const POLL_INTERVAL_MS = 50;

/** `fleet down`: ends the fleet of a data folder, in the foreground of another terminal or in the background. */
export function downCommand(context: CliContext): Command {
  return new Command("down")
    .description(
      "Ends the fleet of the data folder, detached sessions too, and waits until nothing of it is left.",
    )
    .action(async (_options: unknown, command: Command) => {
      const flags = flagsSchema.parse(command.optsWithGlobals());
      await endFleet(DataDir.choose(flags.dataDir, context.env));
    });
}

async function endFleet(dataDir: DataDir): Promise<void> {
  const held = await dataDir.isHeld();
  if (held) await stopManager(dataDir);
  const ended = (await dataDir.wasHeld()) ? await endRest(dataDir) : [];
  if (ended.length > 0) reporter.say(`ended what its manager left: ${ended.join(", ")}`);
  reporter.say(held ? "stopped" : `no fleet runs in ${dataDir.path}`);
}

/**
 * Ends the executors that a manager left: those of detached sessions, and all when it was killed. Then nothing is to
 * claim them any more.
 *
 * @returns their names
 * @throws {CliError} that names what is left
 */
async function endRest(dataDir: DataDir): Promise<string[]> {
  // No new fleet of this folder may start meanwhile, since it would take them up.
  using lock = await ExclusiveLock.tryTake(dataDir.lockFile);
  if (!lock) return [];
  const backend = (await dataDir.readState())?.backend;
  try {
    const names = await endExecutors(backend, dataDir);
    endSessions(dataDir.path, "the fleet was taken down");
    // Not before: the next attempt has to know where to look.
    await dataDir.leave(undefined);
    return names;
  } catch (error) {
    throw new CliError(`something of ${dataDir.fleetName} may be left: ${errorText(error)}`, {
      cause: error,
    });
  }
}

async function endExecutors(backend: FleetState["backend"], dataDir: DataDir): Promise<string[]> {
  switch (backend) {
    case "docker":
      return await removeFleet(new Engine(), dataDir.fleetName);
    case "process":
      return await endLeftovers(dataDir.executorsDir);
    case undefined:
      return [];
  }
}

async function stopManager(dataDir: DataDir): Promise<void> {
  const pid = await pidOf(dataDir);
  reporter.say(`stopping the fleet of pid ${pid}`);
  try {
    process.kill(pid, "SIGTERM");
  } catch (error) {
    throw new CliError(`pid ${pid} cannot be stopped by this user: ${String(error)}`, { cause: error });
  }
  const deadline = AbortSignal.timeout(STOP_LIMIT_MS);
  while ((await dataDir.isHeld()) || (await runs(pid))) {
    if (deadline.aborted) {
      throw new CliError(
        `pid ${pid} has not stopped after ${STOP_LIMIT_MS / 1000} s: ` +
          `"kill -KILL ${pid}" ends it, and "fleet down" then what it leaves`,
      );
    }
    await delay(POLL_INTERVAL_MS);
  }
}

/** Whether a process runs. One that has ended stays listed until its parent, which may never do so, collects it. */
async function runs(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return !/\) [ZX]/.test(stat);
}

/** The process that holds the folder, which tells its id a moment after it took it. */
async function pidOf(dataDir: DataDir): Promise<number> {
  const deadline = AbortSignal.timeout(1_000);
  for (;;) {
    const state = await dataDir.readState();
    if (state?.pid !== undefined) return state.pid;
    if (deadline.aborted) throw new CliError(`a process holds ${dataDir.path} but does not tell its id`);
    await delay(POLL_INTERVAL_MS);
  }
}
