import { readFile } from "node:fs/promises";
import { parseContainerConfig } from "#contract/container-config.ts";
import { errorText } from "#contract/errors.ts";
import { executorNumberSchema } from "#contract/ids.ts";
import type { Backend } from "./backend.ts";
import type { ExecutorSpec } from "./executor.ts";

/** Executors that somebody else starts, for example Docker Compose; a file tells where they are. */
export class StaticBackend implements Backend {
  readonly name = "static";
  readonly warnings: readonly string[] = [];
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  async start(): Promise<ExecutorSpec[]> {
    try {
      const entries = parseContainerConfig(await readFile(this.#file, "utf8"));
      return entries.map(({ number, url, type }) => ({
        number: executorNumberSchema.parse(number),
        url,
        type,
      }));
    } catch (error) {
      throw new Error(`${this.#file}: ${errorText(error)}`, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing was started here.
  }
}
