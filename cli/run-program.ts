import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { errorText } from "#contract/errors.ts";

const KEPT_LINES = 40;
const STOP_BUDGET_MS = 5_000;

export interface ProgramResult {
  ok: boolean;
  /** Why it failed: its last line that speaks of an error, else its last line; or why it did not start. */
  reason: string;
}

/**
 * Runs a program to its end. It has no input; every line that it prints goes to `onLine`. When the signal aborts, it is
 * asked to end, and ended when it has not within some seconds.
 *
 * @throws the signal's reason, after the program has ended
 */
export async function runProgram(
  [program, ...args]: readonly [string, ...string[]],
  { signal, onLine }: { signal: AbortSignal; onLine?: (line: string) => void },
): Promise<ProgramResult> {
  signal.throwIfAborted();
  const lines: string[] = [];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  using timers = new DisposableStack();
  const stop = () => {
    child.kill("SIGTERM");
    timers.use(setTimeout(() => child.kill("SIGKILL"), STOP_BUDGET_MS));
    // What it started may outlive it and go on printing, which nobody waits for then.
    child.once("exit", () => {
      child.stdout.destroy();
      child.stderr.destroy();
    });
  };
  signal.addEventListener("abort", stop, { once: true });
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => {
      if (line.trim() !== "") lines.push(line.trim());
      if (lines.length > KEPT_LINES) lines.shift();
      onLine?.(line);
    });
  }
  try {
    const [code, killedBy] = await once(child, "close");
    signal.throwIfAborted();
    const ending = killedBy === null ? `exit code ${code}` : `ended by ${killedBy}`;
    const reason =
      lines.findLast((line) => /error|ensurepip|no module/i.test(line)) ?? lines.at(-1) ?? ending;
    return { ok: code === 0, reason };
  } catch (error) {
    if (signal.aborted) throw error;
    return { ok: false, reason: errorText(error) };
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
