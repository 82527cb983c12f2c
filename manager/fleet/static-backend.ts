import { readFile } from "node:fs/promises";
import { parseContainerConfig, type ContainerConfigEntry } from "#contract/container-config.ts";
import { errorText } from "#contract/errors.ts";
import { executorNumberSchema } from "#contract/ids.ts";
import type { Backend, BackendEvents, ExecutorPlan } from "./backend.ts";

/** Executors that somebody else starts, for example Docker Compose; a file tells where they are. */
export class StaticBackend implements Backend {
  readonly name = "static";
  readonly warnings: readonly string[] = [];
  readonly #file: string;
  #entries: ContainerConfigEntry[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  async plan(): Promise<ExecutorPlan[]> {
    try {
      this.#entries = parseContainerConfig(await readFile(this.#file, "utf8"));
    } catch (error) {
      throw new Error(`${this.#file}: ${errorText(error)}`, { cause: error });
    }
    return this.#entries.map(({ number, type, reset }) => ({
      number: executorNumberSchema.parse(number),
      type,
      reset,
    }));
  }

  async start(events: BackendEvents): Promise<void> {
    for (const { number, url } of this.#entries) events.placed(executorNumberSchema.parse(number), { url });
  }

  async preview(): Promise<string[]> {
    // Who started the executors decides about them.
    return [];
  }

  async stop(): Promise<void> {
    // Who started the executors ends them.
  }
}
