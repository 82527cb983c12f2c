import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { ContainerConfig } from "#contract/container-config.ts";
import { parseJson } from "#contract/json.ts";
import { describeEnd, endChild } from "./child-process.ts";
import { ManagerCalls } from "./manager-calls.ts";

const MANAGER = join(import.meta.dirname, "..", "dist", "manager.js");
const START_LIMIT_MS = 30_000;
const POLL_INTERVAL_MS = 20;

/** What a manager logs when it listens. */
const servesSchema = z.object({ msg: z.literal("manager serves"), url: z.string() });

/** A manager in a process of its own. */
export interface StaticManager extends AsyncDisposable {
  readonly calls: ManagerCalls;
}

/**
 * Starts a manager over executors that run already, and waits until all are free. What persists is written to a data
 * folder on disk; else it is kept in memory.
 *
 * @throws {Error} when it ends or is not ready in time, or the signal's reason; nothing is left behind then.
 */
export async function startStaticManager(
  config: ContainerConfig,
  { persists, signal }: { persists: boolean; signal: AbortSignal },
): Promise<StaticManager> {
  await using cleanup = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "bench-"));
  cleanup.defer(() => rm(folder, { recursive: true, force: true }));
  const configFile = join(folder, "container_config.json");
  await writeFile(configFile, JSON.stringify(config));
  const manager = spawn(process.execPath, [MANAGER], {
    env: {
      PATH: process.env["PATH"],
      CONTAINER_CONFIG_FILE: configFile,
      FLEET_PORT: "0",
      FLEET_DATA_DIR: persists ? join(folder, "data") : "",
    },
    stdio: ["ignore", "ignore", "pipe"],
    // Ctrl-C at the terminal reaches the benchmark alone, which ends the manager.
    detached: true,
  });
  cleanup.defer(() => endChild(manager));
  const url = Promise.withResolvers<string>();
  createInterface(manager.stderr).on("line", (line) => {
    const serves = servesSchema.safeParse(parseJson(line));
    if (serves.success) url.resolve(serves.data.url);
  });
  const bounded = AbortSignal.any([signal, AbortSignal.timeout(START_LIMIT_MS)]);
  const ended = once(manager, "exit", { signal: bounded }).then(() => {
    throw new Error(`the manager ended with ${describeEnd(manager)}`);
  });
  const calls = cleanup.use(new ManagerCalls(await Promise.race([url.promise, ended]), signal));
  ended.catch(() => undefined);
  const executors = Object.keys(config).length;
  while ((await calls.status()).available_containers < executors)
    await delay(POLL_INTERVAL_MS, undefined, { signal: bounded });
  const running = cleanup.move();
  return { calls, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
