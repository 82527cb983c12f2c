import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { errorText } from "#contract/errors.ts";
import type { BackendEvents, Loss } from "#manager/fleet/backend.ts";
import { orAborted } from "#manager/fleet/or-aborted.ts";
import { endProcess, killProcess } from "./end-process.ts";
import {
  startExecutor,
  watchExecutor,
  type ExecutorPlace,
  type ExecutorProcess,
} from "./executor-process.ts";
import type { ExecutorRecord, ExecutorRecords } from "./executor-records.ts";
import type { WantedExecutor } from "./wanted-executor.ts";

const MIN_RESTART_DELAY_MS = 200;
const MAX_RESTART_DELAY_MS = 10_000;
/** An executor that lived this long is started again without further delay. */
const STABLE_AFTER_MS = 30_000;
/** Connections break a moment before a process counts as ended; one that others started is looked at now and then. */
const EXPLAIN_BUDGET_MS = 1_000;

/** One executor in one place, started again whenever it ends, slower and slower if it does not stay alive. */
export class SupervisedExecutor {
  readonly #wanted: WantedExecutor;
  readonly #records: ExecutorRecords;
  readonly #events: BackendEvents;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #placed = Promise.withResolvers<void>();
  #isPlaced = false;
  #place: ExecutorPlace | undefined;
  #process: ExecutorProcess | undefined;
  /** Settled when the process that `restart` asks for is started, or cannot be. */
  #restart: PromiseWithResolvers<void> | undefined;
  /** Cuts the pause before the next start short. */
  #pause = new AbortController();
  #supervising: Promise<void> = Promise.resolve();

  constructor(wanted: WantedExecutor, records: ExecutorRecords, events: BackendEvents, log: Logger) {
    this.#wanted = wanted;
    this.#records = records;
    this.#events = events;
    this.#log = log.child({ executor: wanted.number });
  }

  /** Takes up the recorded process, or starts one. Resolves when it has its place; rejects with the signal's reason. */
  async begin(record: ExecutorRecord | undefined, signal: AbortSignal): Promise<void> {
    if (record) {
      this.#process = watchExecutor(record);
      this.#tellPlace((this.#place = { socket: record.socket, token: record.token }));
    }
    this.#supervising = this.#supervise();
    await orAborted(this.#placed.promise, AbortSignal.any([signal, this.#stop.signal]));
  }

  /**
   * Kills the process; resolves when the next one is started. That is no loss.
   *
   * @throws {Error} when the one cannot be ended or the other not be started; or the signal's reason
   */
  async restart(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const started = (this.#restart ??= Promise.withResolvers());
    // It may fail before anybody waits for it below.
    started.promise.catch(() => undefined);
    this.#pause.abort();
    try {
      if (this.#process) await killProcess(this.#process.identity);
    } catch (error) {
      this.#settleRestart(error);
    }
    await orAborted(started.promise, AbortSignal.any([signal, this.#stop.signal]));
  }

  /** How the process ended, if it is ending just now. What ended before has been told. */
  async explainLoss(signal: AbortSignal): Promise<Loss | undefined> {
    if (!this.#process) return undefined;
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(EXPLAIN_BUDGET_MS)]);
    return await orAborted(this.#process.ended, bounded).then(
      (reason) => ({ reason }),
      () => undefined,
    );
  }

  /**
   * Ends the process and removes what there is of it; or leaves it as it is to the next manager.
   *
   * @throws {Error} when it does not end
   */
  async stop(keeps: boolean): Promise<void> {
    this.#stop.abort(new Error("the fleet stops"));
    await this.#supervising;
    this.#process?.letGo();
    if (keeps && this.#process) return;
    if (this.#process) await endProcess(this.#process.identity);
    if (this.#place) await this.#records.remove({ number: this.#wanted.number, ...this.#place });
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stop;
    let delayMs = MIN_RESTART_DELAY_MS;
    while (!signal.aborted) {
      const since = performance.now();
      const reason = await this.#runOnce().catch((error: unknown) => {
        if (!signal.aborted) this.#settleRestart(error);
        return `could not be started: ${errorText(error)}`;
      });
      if (signal.aborted) return;
      if (this.#restart) continue;
      this.#tellEnd(reason);
      delayMs = performance.now() - since > STABLE_AFTER_MS ? MIN_RESTART_DELAY_MS : delayMs * 2;
      this.#pause = new AbortController();
      const cut = AbortSignal.any([signal, this.#pause.signal]);
      await delay(Math.min(delayMs, MAX_RESTART_DELAY_MS), undefined, { signal: cut }).catch(() => undefined);
    }
  }

  /** Sees to it that a process runs, and tells how it ended. Rejects when the fleet stops. */
  async #runOnce(): Promise<string> {
    const running = (this.#process ??= await this.#start());
    const reason = await orAborted(running.ended, this.#stop.signal);
    this.#process = undefined;
    return reason;
  }

  async #start(): Promise<ExecutorProcess> {
    const { number, type, fingerprint } = this.#wanted;
    const place = (this.#place ??= {
      socket: await this.#records.newSocket(number),
      token: randomBytes(24).toString("hex"),
    });
    const started = await startExecutor(this.#wanted, place);
    try {
      await this.#records.write({ number, type, ...started.identity, ...place, fingerprint });
    } catch (error) {
      await killProcess(started.identity);
      throw error;
    }
    this.#tellPlace(place);
    this.#settleRestart();
    return started;
  }

  #settleRestart(error?: unknown): void {
    const waiting = this.#restart;
    this.#restart = undefined;
    if (error === undefined) waiting?.resolve();
    else waiting?.reject(error);
  }

  #tellPlace({ socket, token }: ExecutorPlace): void {
    if (this.#isPlaced) return;
    this.#isPlaced = true;
    this.#events.placed(this.#wanted.number, { url: `unix:${socket}`, token });
    this.#placed.resolve();
  }

  #tellEnd(reason: string): void {
    this.#log.error({ reason }, "executor ended");
    if (this.#isPlaced) this.#events.lost(this.#wanted.number, { reason });
    else this.#events.waiting(this.#wanted.number, reason);
  }
}
