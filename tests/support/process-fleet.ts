import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";
import type { ExecutorEndpoint } from "#manager/fleet/backend.ts";
import { executeReplySchema } from "#contract/execution.ts";
import { executorNumberSchema, type ExecutorNumber } from "#contract/ids.ts";
import { parseJson } from "#contract/json.ts";
import { endLeftovers } from "#manager/fleet/process/end-leftovers.ts";
import { ExecutorClient, readText } from "#manager/fleet/executor-client.ts";
import { ExecutorRecords, type ExecutorRecord } from "#manager/fleet/process/executor-records.ts";
import { ProcessBackend } from "#manager/fleet/process/process-backend.ts";
import type { ProcessBackendSettings } from "#manager/fleet/process/wanted-executor.ts";
import { processSettings } from "./process-settings.ts";
import { until } from "./until.ts";

const OWNER = fileURLToPath(new URL("./process-owner.ts", import.meta.url));
const LIMIT_MS = 60_000;

/** A folder for the executors of one fleet, whose owners come and go. Disposing ends whatever is left of it. */
export class ProcessFleet implements AsyncDisposable {
  readonly folder: string;
  readonly stateDir: string;
  readonly #cleanup = new AsyncDisposableStack();

  private constructor(folder: string) {
    this.folder = folder;
    this.stateDir = join(folder, "executors");
    this.#cleanup.defer(() => rm(folder, { recursive: true }));
    this.#cleanup.defer(async () => void (await endLeftovers(this.stateDir)));
  }

  static async make(): Promise<ProcessFleet> {
    return new ProcessFleet(await mkdtemp(join(tmpdir(), "pf-")));
  }

  /** Has the executors started by a process that is killed as soon as they have their places. */
  async leftByKilledOwner(
    types: readonly string[] = ["python"],
    orphanGraceMs = LIMIT_MS,
  ): Promise<ExecutorRecord[]> {
    const child = spawn(process.execPath, [OWNER, this.folder, String(orphanGraceMs), ...types], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    await Promise.race([once(child.stdout, "data"), exited]);
    child.kill("SIGKILL");
    await exited;
    return await this.records();
  }

  /** A backend of this process; it is stopped at the end. */
  backend(changes: Partial<ProcessBackendSettings> = {}): OwnedBackend {
    const settings = processSettings(this.folder, { types: ["python"], orphanGraceMs: LIMIT_MS, ...changes });
    return this.#cleanup.use(new OwnedBackend(new ProcessBackend(settings, pino({ level: "silent" }))));
  }

  records(): Promise<ExecutorRecord[]> {
    return new ExecutorRecords(this.stateDir).list();
  }

  /** The files of executors; undefined when not even their folder is there. */
  async stateFiles(): Promise<string[] | undefined> {
    return await readdir(this.stateDir).catch(() => undefined);
  }

  /** Folders of executors' kernels and working directories that are still there. */
  async temporaryFolders(): Promise<string[]> {
    return (await readdir(this.folder)).filter((name) => /^executor-\w+$/.test(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}

/** A backend and what it told. */
export class OwnedBackend implements AsyncDisposable {
  readonly backend: ProcessBackend;
  readonly endpoints = new Map<ExecutorNumber, ExecutorEndpoint>();
  readonly losses: string[] = [];
  readonly waits: string[] = [];
  readonly replacements: string[] = [];

  constructor(backend: ProcessBackend) {
    this.backend = backend;
  }

  async start(signal: AbortSignal = new AbortController().signal): Promise<void> {
    await this.backend.start(
      {
        placed: (number, endpoint) => void this.endpoints.set(number, endpoint),
        waiting: (number, reason) => void this.waits.push(`${number}: ${reason}`),
        replaced: (number, reason) => void this.replacements.push(`${number}: ${reason}`),
        lost: (number, { reason }) => void this.losses.push(`${number}: ${reason}`),
      },
      signal,
    );
  }

  /** Waits until an executor takes code. */
  ready(number = 0): Promise<ReadyExecutor> {
    const { url = "", token } = this.endpoints.get(executorNumberSchema.parse(number)) ?? {};
    return ReadyExecutor.at(url, token);
  }

  async stop(...kept: number[]): Promise<void> {
    await this.backend.stop(new Set(kept.map((number) => executorNumberSchema.parse(number))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** An executor that takes code, spoken to as a manager does. */
export class ReadyExecutor implements AsyncDisposable {
  readonly #client: ExecutorClient;
  readonly bootId: string | undefined;

  private constructor(client: ExecutorClient, bootId: string | undefined) {
    this.#client = client;
    this.bootId = bootId;
  }

  static async at(url: string, token: string | undefined): Promise<ReadyExecutor> {
    const client = new ExecutorClient(url, token);
    const signal = AbortSignal.timeout(LIMIT_MS);
    const isReady = async () => (await client.ready(signal).catch(() => undefined))?.ready || undefined;
    await until("the executor takes code", isReady, LIMIT_MS);
    return new ReadyExecutor(client, (await client.health(signal)).boot_id);
  }

  /** What the code prints. */
  async printed(code: string): Promise<string> {
    const { body } = await this.#client.request({
      method: "POST",
      path: "/execute",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    const { outputs } = executeReplySchema.parse(parseJson(await readText(body)));
    return outputs
      .map((output) => (output.type === "stream" ? output.text : JSON.stringify(output)))
      .join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}
