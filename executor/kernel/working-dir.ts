import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";

/**
 * The folder that kernels run in: the configured one, or a temporary one that is a new one for every tenant, that is
 * after every restart on request.
 */
export class WorkingDir {
  readonly #configured: string | undefined;
  readonly #runtimeDir: string;
  readonly #log: Logger;
  #current: string | undefined;
  #made = 0;

  constructor(configured: string | undefined, runtimeDir: string, log: Logger) {
    this.#configured = configured;
    this.#runtimeDir = runtimeDir;
    this.#log = log;
  }

  /** Path of the folder for the next kernel; a `fresh` one holds nothing of what the last kernel wrote. */
  async prepare({ fresh }: { fresh: boolean }): Promise<string> {
    if (this.#configured !== undefined) return this.#configured;
    if (this.#current !== undefined) {
      if (!fresh) return this.#current;
      await rm(this.#current, { recursive: true, force: true }).catch((error: unknown) =>
        this.#log.error({ err: error }, "files of the last working directory stay behind"),
      );
    }
    this.#made += 1;
    this.#current = join(this.#runtimeDir, `work-${this.#made}`);
    await mkdir(this.#current, { mode: 0o770 });
    return this.#current;
  }
}
