import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

const STOP_LIMIT_MS = 30_000;

/** Asks a process to end, and kills it when it has not in time. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  using timers = new DisposableStack();
  timers.use(setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS));
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}

export function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** How a process that has ended did so. */
export function describeEnd({ exitCode, signalCode }: ChildProcess): string {
  return signalCode ?? `exit code ${exitCode}`;
}
