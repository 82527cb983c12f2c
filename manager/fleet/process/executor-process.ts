import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { identify, isRunning, type ProcessIdentity } from "./process-identity.ts";
import type { WantedExecutor } from "./wanted-executor.ts";

/** The running process of one executor. */
export interface ExecutorProcess {
  readonly identity: ProcessIdentity;
  /** Resolves with how it ended; never when it was let go of before. */
  readonly ended: Promise<string>;
  /** Leaves it to the next manager. */
  letGo: () => void;
}

/** Where an executor listens, and what it expects of its callers. */
export interface ExecutorPlace {
  socket: string;
  token: string;
}

const WATCH_INTERVAL_MS = 500;

/**
 * Starts the process of an executor.
 *
 * @throws {Error} that says why there is none
 */
export async function startExecutor(
  { command, env, logFile }: WantedExecutor,
  { socket, token }: ExecutorPlace,
): Promise<ExecutorProcess> {
  const [program, ...args] = command;
  if (program === undefined) throw new Error("the command of an executor is empty");
  await using log = await open(logFile, "a");
  const child = spawn(program, args, {
    env: { ...env, EXECUTOR_SOCKET: socket, EXECUTOR_TOKEN: token },
    // A group of its own: Ctrl-C at the terminal is the manager's, which lets what runs come to its end.
    detached: true,
    stdio: ["pipe", log.fd, log.fd],
  });
  const ended = new Promise<string>((resolve) => {
    child.once("exit", (code, signal) =>
      resolve(
        signal === null ? `the process ended with exit code ${code}` : `the process was ended by ${signal}`,
      ),
    );
  });
  await once(child, "spawn");
  const identity = child.pid === undefined ? undefined : await identify(child.pid);
  if (!identity) throw new Error(await ended);
  return {
    identity,
    ended,
    letGo: () => {
      child.stdin?.destroy();
      child.unref();
    },
  };
}

/** Watches an executor that another manager started: how it ends is told to nobody but its parent. */
export function watchExecutor({ pid, startTime }: ProcessIdentity): ExecutorProcess {
  const identity = { pid, startTime };
  const watching = new AbortController();
  const ended = Promise.withResolvers<string>();
  void untilEnded(identity, watching.signal).then(
    () => ended.resolve("the process has ended"),
    // It was let go of.
    () => undefined,
  );
  return { identity, ended: ended.promise, letGo: () => watching.abort() };
}

async function untilEnded(identity: ProcessIdentity, signal: AbortSignal): Promise<void> {
  while (await isRunning(identity)) await delay(WATCH_INTERVAL_MS, undefined, { signal });
}
