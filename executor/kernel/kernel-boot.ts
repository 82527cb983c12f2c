import { randomUUID } from "node:crypto";
import type { SessionEnv } from "#contract/executor-api.ts";
import { CodeLoader } from "./code-loader.ts";
import { LiveKernel, StartError, type LiveKernelOptions } from "./live-kernel.ts";

export interface KernelBootOptions extends Omit<LiveKernelOptions, "id" | "workingDir" | "sessionEnv"> {
  workspaceFolder: string;
  codeLoadingTimeoutMs: number;
}

export interface BootSteps {
  workingDir: string;
  sessionEnv: SessionEnv;
  signal: AbortSignal;
  /** A process with this id is being started. */
  starting: (id: string) => void;
  /** The kernel answers and loads the mounted code. */
  loading: () => void;
  /** A mounted file took the kernel with it: another one is started, which leaves that file out. */
  startingAgain: () => void;
}

const START_TIMEOUT_MS = 60_000;
/** Ports that were free may be taken a moment later. */
const START_ATTEMPTS = { ipc: 1, tcp: 3 } as const;

/** Brings a kernel from nothing to where it takes code: started, connected, mounted code loaded. */
export class KernelBoot {
  readonly loader: CodeLoader;
  readonly #options: KernelBootOptions;

  constructor(options: KernelBootOptions) {
    this.#options = options;
    this.loader = new CodeLoader({
      folder: options.workspaceFolder,
      timeoutMs: options.codeLoadingTimeoutMs,
      log: options.log,
    });
  }

  /**
   * Boots one kernel.
   *
   * @throws {Error} that says why there is no kernel, or the reason of `signal`.
   */
  async run(steps: BootSteps): Promise<LiveKernel> {
    this.loader.reset();
    for (;;) {
      const live = await this.#start(steps);
      const giveUp = () => void live.end("replaced");
      steps.signal.addEventListener("abort", giveUp, { once: true });
      let loaded = false;
      try {
        steps.signal.throwIfAborted();
        steps.loading();
        loaded = await this.loader.load(live, steps);
        steps.signal.throwIfAborted();
        if (loaded) return live;
      } finally {
        steps.signal.removeEventListener("abort", giveUp);
        if (!loaded || steps.signal.aborted) await live.end("replaced");
      }
      steps.startingAgain();
    }
  }

  async #start({ workingDir, sessionEnv, signal, starting }: BootSteps): Promise<LiveKernel> {
    const timeout = AbortSignal.timeout(START_TIMEOUT_MS);
    for (let attempt = 1; ; attempt += 1) {
      signal.throwIfAborted();
      const id = randomUUID();
      starting(id);
      try {
        return await LiveKernel.start(
          { ...this.#options, id, workingDir, sessionEnv },
          { signal: AbortSignal.any([signal, timeout]) },
        );
      } catch (error) {
        if (signal.aborted) throw error;
        if (timeout.aborted) {
          throw new Error(`The kernel did not answer within ${START_TIMEOUT_MS / 1000} seconds`, {
            cause: error,
          });
        }
        const lastAttempt = attempt >= START_ATTEMPTS[this.#options.launcher.transport];
        if (lastAttempt || !(error instanceof StartError)) throw error;
      }
    }
  }
}
