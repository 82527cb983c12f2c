import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "#contract/errors.ts";
import type { ChaosWorld } from "./chaos-world.ts";
import type { Act } from "./plan-batch.ts";

const PAUSE_MS = 1_000;
/** The user whose processes are kernels, and what they start. */
const KERNEL_USER = "10001";

/** Kills and disturbs what belongs to the fleet, and nothing else. */
export class Villain {
  readonly #world: ChaosWorld;
  #managerActs: Promise<void> = Promise.resolve();

  constructor(world: ChaosWorld) {
    this.#world = world;
  }

  /** Does one thing; resolves when it is done. One that hits nothing, such as a container that is down, is no error. */
  async act({ kind, executor }: Act): Promise<void> {
    const { journal, causes } = this.#world;
    const what = kind.startsWith("manager") ? kind : `${kind} (executor ${executor})`;
    causes.add(kind, executor);
    journal.note(`villain: ${what}`);
    try {
      await this.#do(kind, executor);
      journal.count("acts", kind);
    } catch (error) {
      if (kind.startsWith("manager")) throw error;
      journal.count("missed", kind);
      journal.note(`villain: ${what} hit nothing: ${errorText(error).replaceAll("\n", " ")}`);
    }
  }

  async #do(kind: Act["kind"], executor: number): Promise<void> {
    const { fleet } = this.#world;
    switch (kind) {
      case "manager killed":
        return await this.#next(() => fleet.killManager());
      case "manager killed while it starts":
        return await this.#next(() => fleet.killStartingManager());
      case "kernel killed":
        // The signal goes to all whom the user may kill but the sender.
        return void (await fleet.docker(["exec", "-u", KERNEL_USER], executor, "sh", "-c", "kill -9 -1"));
      case "server killed":
        return await this.#killServer(executor);
      case "container killed":
        return void (await fleet.docker(["kill"], executor));
      case "container removed":
        return void (await fleet.docker(["rm", "-f"], executor));
      case "container paused":
        await fleet.docker(["pause"], executor);
        await delay(PAUSE_MS);
        // A manager that found it silent may have started it again.
        await fleet.docker(["unpause"], executor).catch(() => undefined);
    }
  }

  /** The container's first process has the server as its child, and ends with it: with it ends the command, too. */
  async #killServer(executor: number): Promise<void> {
    const kill = "echo hit; kill -9 $(cat /proc/1/task/1/children)";
    await this.#world.fleet.docker(["exec"], executor, "sh", "-c", kill).catch((error: unknown) => {
      if (!(error instanceof Error && "stdout" in error && error.stdout === "hit\n")) throw error;
    });
  }

  /** One manager is killed after the other. */
  #next(act: () => Promise<void>): Promise<void> {
    const done = this.#managerActs.then(act);
    this.#managerActs = done.catch(() => undefined);
    return done;
  }
}
