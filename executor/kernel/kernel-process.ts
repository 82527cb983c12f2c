import type { SessionEnv } from "#contract/executor-api.ts";

/** How the process of a kernel ended: with an exit code, or by a signal. */
export interface KernelExit {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** The operating system process of one kernel, leader of its own process group. */
export interface KernelProcess {
  readonly pid: number;
  /** Resolves when the process has ended; never rejects. */
  readonly exited: Promise<KernelExit>;
}

/** What a kernel process needs to start. */
export interface StartOptions {
  id: string;
  connectionFile: string;
  workingDir: string;
  /** Variables on top of the launcher's environment. */
  sessionEnv: SessionEnv;
}

/** Starts the processes of one kind of kernel. */
export interface KernelLauncher {
  readonly transport: "ipc" | "tcp";
  /** How a running cell is interrupted. Source: Jupyter client, "Kernel specs", `interrupt_mode`. */
  readonly interruptMode: "signal" | "message";
  /** Whether a result may come after the idle status, against the protocol. Deno's kernel does that now and then. */
  readonly resultMayBeLate: boolean;
  /**
   * Starts a kernel process.
   *
   * @throws {Error} that says why it could not be started.
   */
  start: (options: StartOptions) => Promise<KernelProcess>;
  /** Ends what the launcher itself keeps running, kernels included. */
  close: () => Promise<void>;
}

/** Signals a kernel and everything in its process group; a group that is gone already is fine. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (!isNoSuchProcess(error)) throw error;
  }
}

/** The exit in words: `exit code 1` or `signal SIGSEGV`. */
export function describeExit(exit: KernelExit): string {
  return exit.signal === null ? `exit code ${exit.code ?? "unknown"}` : `signal ${exit.signal}`;
}

function isNoSuchProcess(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ESRCH";
}
