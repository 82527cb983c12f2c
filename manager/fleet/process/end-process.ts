import { setTimeout as delay } from "node:timers/promises";
import { isRunning, type ProcessIdentity } from "./process-identity.ts";

/** A second more than an executor allows itself for a clean end. */
const STOP_BUDGET_MS = 6_000;
/** How long what a killed executor ran may take to notice and to end its own. */
const AFTERMATH_BUDGET_MS = 1_000;
const POLL_INTERVAL_MS = 20;

/**
 * Asks a process to end, and kills it when it has not within the budget. One that has ended already is fine; another
 * process that has its id by now is left alone.
 *
 * @throws {Error} when it cannot be signalled, or does not end
 */
export async function endProcess(identity: ProcessIdentity, budgetMs = STOP_BUDGET_MS): Promise<void> {
  if (!(await signalProcess(identity, "SIGTERM"))) return;
  const ended = await within(budgetMs, async () => !(await isRunning(identity)));
  if (!ended) await killProcess(identity);
}

/**
 * Kills a process that leads a group, and what is left of the group soon after it: what an executor runs ends by itself
 * then, and takes along what user code started, which a kill of everything at once would leave behind.
 *
 * @throws {Error} when it cannot be signalled, or does not end
 */
export async function killProcess(identity: ProcessIdentity): Promise<void> {
  if (!(await signalProcess(identity, "SIGKILL"))) return;
  const gone = async () => !(await isRunning(identity)) && !signalGroup(identity.pid, 0);
  if (await within(AFTERMATH_BUDGET_MS, gone)) return;
  // While anything is left of the group, its id is given to no other process.
  signalGroup(identity.pid, "SIGKILL");
  if (!(await within(AFTERMATH_BUDGET_MS, async () => !(await isRunning(identity)))))
    throw new Error(`pid ${identity.pid} does not end`);
}

/** @returns whether the process was still there */
async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  return (await isRunning(identity)) && send(identity.pid, signal);
}

function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  return send(-leader, signal);
}

function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}

async function within(budgetMs: number, condition: () => Promise<boolean>): Promise<boolean> {
  const deadline = performance.now() + budgetMs;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await delay(POLL_INTERVAL_MS);
  }
  return true;
}
