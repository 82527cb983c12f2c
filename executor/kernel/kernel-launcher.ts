import type { Logger } from "pino";
import { KernelHost } from "./kernel-host.ts";
import type { KernelLauncher } from "./kernel-process.ts";

export interface LauncherOptions {
  kernelName: string;
  kernelPython: string;
  kernelEnv: Record<string, string>;
  kernelUser: { uid: number; gid: number } | undefined;
  maxOutputBytes: number;
}

/** More than the cap, so that the cut shows. */
const BEYOND_CAP = 1024;

/** The launcher for a kernel by its name: Python's own kind for `python3`, its kernelspec for any other. */
export async function createLauncher(options: LauncherOptions, log: Logger): Promise<KernelLauncher> {
  const host = new KernelHost({
    python: options.kernelPython,
    env: options.kernelEnv,
    user: options.kernelUser,
    maxTextLength: options.maxOutputBytes + BEYOND_CAP,
    log,
  });
  host.warmUp();
  return host;
}
