import type { Logger } from "pino";
import { KernelHost } from "./kernel-host.ts";
import type { KernelLauncher } from "./kernel-process.ts";
import { findKernelspec } from "./kernelspec.ts";
import { SpawnedKernels } from "./spawned-kernels.ts";

export interface LauncherOptions {
  kernelName: string;
  kernelPython: string;
  kernelEnv: Record<string, string>;
  kernelUser: { uid: number; gid: number } | undefined;
  maxOutputBytes: number;
}

const PYTHON = "python3";
/** More than the cap, so that the cut shows. */
const BEYOND_CAP = 1024;

/**
 * The launcher for a kernel by its name: forked from a host for `python3`, by its kernelspec for any other.
 *
 * @throws {Error} when there is no such kernelspec.
 */
export async function createLauncher(options: LauncherOptions, log: Logger): Promise<KernelLauncher> {
  const { kernelName, kernelPython: python, kernelEnv: env, kernelUser: user, maxOutputBytes } = options;
  if (kernelName !== PYTHON) {
    return new SpawnedKernels({ spec: await findKernelspec(kernelName, { python, env }), python, env, user });
  }
  const host = new KernelHost({ python, env, user, maxTextLength: maxOutputBytes + BEYOND_CAP, log });
  host.warmUp();
  return host;
}
