import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { DataDir } from "#cli/data-dir.ts";
import { FleetClient } from "#client/fleet-client.ts";
import { Engine, type ObservedContainer } from "#manager/fleet/docker/engine.ts";
import { containerName } from "#manager/fleet/docker/executor-container.ts";
import { FLEET_LABEL } from "#manager/fleet/docker/plan.ts";
import { FleetCommands, type RunningCommand } from "#tests/support/fleet-command.ts";
import { until } from "#tests/support/until.ts";
import { Violation } from "./journal.ts";

const run = promisify(execFile);

const SERVING_DEADLINE_MS = 60_000;
const LOG_LINES = 200;
const LOG_LINE_LENGTH = 500;

/** One run of the manager. */
export interface ManagerRun {
  url: string;
  client: FleetClient;
  /** Whether it was killed, or is about to be. */
  killed: boolean;
}

export interface ChaosFleetSettings {
  executors: number;
  reset: "container" | "kernel";
}

/** A fleet of containers whose manager is a process of its own, which can be killed and started again. */
export class ChaosFleet implements AsyncDisposable {
  readonly executors: number;
  readonly id: string;
  readonly #reset: string;
  readonly #commands: FleetCommands;
  readonly #dataDir: DataDir;
  readonly #engine = new Engine();
  #command: RunningCommand | undefined;
  #run: Promise<ManagerRun> = Promise.reject(new Error("no manager was started"));
  #logs: string[] = [];

  private constructor(commands: FleetCommands, { executors, reset }: ChaosFleetSettings) {
    this.executors = executors;
    this.#reset = reset;
    this.#commands = commands;
    this.#dataDir = new DataDir(commands.dataDir);
    this.id = this.#dataDir.fleetName;
    this.#run.catch(() => undefined);
  }

  static async make(settings: ChaosFleetSettings): Promise<ChaosFleet> {
    return new ChaosFleet(await FleetCommands.make(), settings);
  }

  /** The manager that serves, or the next one that will. */
  async manager(): Promise<ManagerRun> {
    for (;;) {
      const current = this.#run;
      try {
        return await current;
      } catch (error) {
        if (current === this.#run) throw error;
      }
    }
  }

  /** Starts the first manager; resolves when the fleet is ready. */
  async start(): Promise<void> {
    this.#run = this.#launch();
    await this.manager();
    await this.#command?.printed(/^ready after/m);
  }

  /** Kills the manager that serves, and starts another one. */
  async killManager(): Promise<void> {
    const manager = await this.manager();
    manager.killed = true;
    await this.#replaceManager();
    await manager.client[Symbol.asyncDispose]();
  }

  /** Kills the manager, and the next one before it serves. */
  async killStartingManager(): Promise<void> {
    await this.killManager();
    const pid = this.#command?.pid;
    const started = this.#run;
    await until("the manager tells that it starts", async () =>
      (await this.#dataDir.readState())?.pid === pid ? true : undefined,
    );
    void started.then(
      (manager) => (manager.killed = true),
      () => undefined,
    );
    await this.#replaceManager();
    await started.then(
      ({ client }) => client[Symbol.asyncDispose](),
      () => undefined,
    );
  }

  /** Runs a docker command on the container of one of this fleet's executors. */
  async docker(command: readonly string[], executor: number, ...args: readonly string[]): Promise<string> {
    const name = containerName({ fleetId: this.id, number: executor });
    const { stdout } = await run("docker", [...command, name, ...args]);
    return stdout.trim();
  }

  /** The process that an executor's container runs, as its cells tell it. */
  async lifeOf(executor: number): Promise<string> {
    const tell = 'cat /proc/sys/kernel/hostname; sed "s/.*) //" /proc/1/stat | cut -d " " -f 20';
    return (await this.docker(["exec"], executor, "sh", "-c", tell)).replace("\n", " ");
  }

  async containers(): Promise<ObservedContainer[]> {
    return await this.#engine.containersWithLabels({ [FLEET_LABEL]: this.id });
  }

  /** The last lines of the managers' logs. */
  async logs(): Promise<readonly string[]> {
    await this.#keepLogs();
    return this.#logs;
  }

  /** Takes the fleet down; tells what containers are left then. */
  async down(): Promise<ObservedContainer[]> {
    const { client } = await this.manager();
    await client[Symbol.asyncDispose]();
    const end = await this.#commands.run(["down"]);
    if (end.exitCode !== 0) throw new Violation(`fleet down failed: ${end.stdout}${end.stderr}`);
    return await this.containers();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#run.then(
      ({ client }) => client[Symbol.asyncDispose](),
      () => undefined,
    );
    await this.#commands[Symbol.asyncDispose]();
  }

  /** From here on all who ask for a manager wait for the new one. */
  async #replaceManager(): Promise<void> {
    const next = Promise.withResolvers<ManagerRun>();
    next.promise.catch(() => undefined);
    this.#run = next.promise;
    this.#command?.kill();
    await this.#command?.ended;
    await this.#keepLogs();
    next.resolve(this.#launch());
  }

  async #keepLogs(): Promise<void> {
    const log = await readFile(this.#dataDir.managerLog, "utf8").catch(() => "");
    const said = this.#command?.stderr ?? "";
    const lines = [...this.#logs, "--- a manager", ...log.split("\n"), ...said.split("\n")];
    const short = lines.filter((line) => line !== "").map((line) => line.slice(0, LOG_LINE_LENGTH));
    this.#logs = short.slice(-LOG_LINES);
  }

  async #launch(): Promise<ManagerRun> {
    const flags = ["--types", `python:${this.executors}`, "--reset", this.#reset, "--cpus", "1"];
    const command = this.#commands.start(["up", "--backend", "docker", "--port", "0", ...flags]);
    this.#command = command;
    let ended = false;
    void command.ended.then(() => (ended = true));
    const url = await until(
      "the manager serves",
      async () => {
        if (ended) throw new Violation(`the manager ended: ${command.stdout}${command.stderr}`);
        const state = await this.#dataDir.readState();
        return state?.pid === command.pid ? state.url : undefined;
      },
      SERVING_DEADLINE_MS,
    );
    return { url, client: new FleetClient({ url }), killed: false };
  }
}
