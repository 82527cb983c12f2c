import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createInterface } from "node:readline";

const PROGRAM = fileURLToPath(new URL("foreign-executor.py", import.meta.url));

/** A running executor of another maker, on TCP. Disposing of it ends its process. */
export interface ForeignExecutor extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Ends the process with SIGKILL, as the kernel's OOM killer would, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again at the same port. */
  startAgain(): Promise<void>;
}

/** Paths that never answer, and paths that answer 500. */
export interface Faults {
  hang?: readonly string[];
  refuse?: readonly string[];
}

/** Starts one; resolves when it listens. */
export async function startForeignExecutor(faults: Faults = {}): Promise<ForeignExecutor> {
  let running = await start(0, faults);
  const { port } = running;
  const kill = async () => {
    const { child } = running;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    get pid() {
      return running.pid;
    },
    kill,
    async startAgain() {
      await kill();
      running = await start(port, faults);
    },
    [Symbol.asyncDispose]: kill,
  };
}

async function start(port: number, { hang = [], refuse = [] }: Faults) {
  const child = spawn("python3", ["-I", PROGRAM], {
    env: { PATH: process.env["PATH"], PORT: String(port), HANG: hang.join(","), REFUSE: refuse.join(",") },
    stdio: ["pipe", "pipe", "inherit"],
  });
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`the foreign executor ended with exit code ${String(code)} before it listened`);
  });
  const line = await Promise.race([once(createInterface(child.stdout), "line"), ended]);
  ended.catch(() => undefined);
  if (child.pid === undefined) throw new Error("the foreign executor has no process id");
  return { child, pid: child.pid, port: Number(line[0]) };
}
