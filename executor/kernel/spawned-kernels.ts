import { spawn } from "node:child_process";
import { once } from "node:events";
import { commandOf, environmentOf, type Kernelspec } from "./kernelspec.ts";
import type { KernelExit, KernelLauncher, KernelProcess, StartOptions } from "./kernel-process.ts";

/**
 * Turns itself into the kernel after two things that only the process itself can do: when memory runs out, the kernel
 * goes, not the server; and when the server is gone (the end of standard input), so is the kernel's process group.
 */
const WRAPPER = `
echo 1000 2>/dev/null >/proc/self/oom_score_adj
exec 3<&0 </dev/null
{ read -r _ <&3; kill -9 -$$; } &
exec "$@" 3<&-
`;

/** However many processes the code makes, the server beside it is heard. In a container that takes nothing from it. */
const LOWEST_PRIORITY = ["nice", "-n", "19"];

export interface SpawnedKernelsOptions {
  spec: Kernelspec;
  python: string;
  env: Record<string, string>;
  user: { uid: number; gid: number } | undefined;
}

/** Kernels of any language, started by the command line of their kernelspec. */
export class SpawnedKernels implements KernelLauncher {
  /** Every kernel knows TCP; `ipc` only some. */
  readonly transport = "tcp";
  readonly interruptMode: KernelLauncher["interruptMode"];
  readonly resultMayBeLate = true;
  readonly #options: SpawnedKernelsOptions;

  constructor(options: SpawnedKernelsOptions) {
    this.#options = options;
    this.interruptMode = options.spec.interrupt_mode;
  }

  async start({ connectionFile, workingDir, sessionEnv }: StartOptions): Promise<KernelProcess> {
    const { spec, python, env, user } = this.#options;
    const command = commandOf(spec, connectionFile, python);
    const niceCommand = user === undefined ? command : [...LOWEST_PRIORITY, ...command];
    const child = spawn("/bin/sh", ["-c", WRAPPER, "sh", ...niceCommand], {
      cwd: workingDir,
      env: { ...environmentOf(spec, { ...env, ...sessionEnv }), ...sessionEnv },
      // A session of its own: its leader is the kernel, so that a signal to the group reaches what it forks.
      detached: true,
      stdio: ["pipe", 2, 2],
      ...user,
    });
    const exited = new Promise<KernelExit>((resolve) => {
      child.on("exit", (code, signal) => resolve({ code, signal }));
    });
    await once(child, "spawn");
    if (child.pid === undefined) throw new Error(`${command[0]} did not start`);
    return { pid: child.pid, exited };
  }

  async close(): Promise<void> {
    // Nothing runs here but the kernels, and each is ended by its owner.
  }
}
