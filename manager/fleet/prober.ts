import { setTimeout as delay } from "node:timers/promises";
import { wasNeverSent } from "#contract/connection-errors.ts";
import { errorText, ServiceError } from "#contract/errors.ts";
import type { Backend } from "./backend.ts";
import type { Executor } from "./executor.ts";
import type { Fleet } from "./fleet.ts";
import type { Resetter } from "./reset.ts";

/** Times in milliseconds. */
export interface ProbeSettings {
  /** Between two probes of an executor that answers. */
  intervalMs: number;
  /** Between two probes of one that is starting or does not answer. */
  startIntervalMs: number;
  timeoutMs: number;
  /** How long a start may take until it is called unhealthy. */
  startTimeoutMs: number;
  resetTimeoutMs: number;
  /** How long an unhealthy executor may give no answer at all until it is restarted, and then until the next time. */
  restartAfterMs: number;
}

export const DEFAULT_PROBE_SETTINGS: ProbeSettings = {
  intervalMs: 2_000,
  startIntervalMs: 50,
  timeoutMs: 5_000,
  startTimeoutMs: 120_000,
  resetTimeoutMs: 60_000,
  restartAfterMs: 20_000,
};

/** How an executor says that its kernel cannot be started; it goes on trying. */
const START_FAILED = "kernel_start_failed";

/** Time-outs in a row after which an executor counts as lost; a refused connection counts at the second. */
const MAX_FAILURES = 3;

/** What is known of an executor that answers again. */
interface Recovery {
  bootId: string | undefined;
  /** Whether its process has not run any code. */
  unused: boolean;
}

/** What probers work with. */
export interface ProbeContext {
  fleet: Fleet;
  backend: Backend;
  resetter: Resetter;
  settings: ProbeSettings;
}

/** Probes every executor until the signal aborts, and has the backend restart those that stay silent. */
export async function probeFleet(context: ProbeContext, signal: AbortSignal): Promise<void> {
  const probers = context.fleet.executors.map((executor) => new Prober(executor, context));
  await Promise.all(probers.map((prober) => prober.run(signal)));
}

/** Watches one executor. It asks `/health` and `/ready` only, never runs code. */
class Prober {
  readonly #fleet: Fleet;
  readonly #backend: Backend;
  readonly #executor: Executor;
  readonly #resetter: Resetter;
  readonly #settings: ProbeSettings;
  /** When it was first seen in its place, or when it started anew. */
  #startedAt: number | undefined;
  #failures = 0;
  /** Since when an unhealthy executor has given no answer, or when it was last restarted; and why it was lost. */
  #silence: { since: number; lostReason: string; restarted: boolean } | undefined;

  constructor(executor: Executor, { fleet, backend, resetter, settings }: ProbeContext) {
    this.#executor = executor;
    this.#fleet = fleet;
    this.#backend = backend;
    this.#resetter = resetter;
    this.#settings = settings;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#probe(signal).catch((error: unknown) => this.#fail(error, signal));
      if (!signal.aborted) await this.#restartIfSilent(signal);
      const { name } = this.#executor.state;
      const hurried = name === "starting" || name === "unhealthy";
      if (hurried) await delay(this.#settings.startIntervalMs, undefined, { signal }).catch(() => undefined);
      else await this.#untilDue(signal);
    }
  }

  /** Waits for the next probe, which comes early for an executor that was lost meanwhile. */
  async #untilDue(signal: AbortSignal): Promise<void> {
    const due = AbortSignal.any([signal, AbortSignal.timeout(this.#settings.intervalMs)]);
    const lost = this.#fleet.waitForState(this.#executor, ({ name }) => name === "unhealthy", due);
    await lost.catch(() => undefined);
  }

  async #probe(signal: AbortSignal): Promise<void> {
    // One that is being reset is seen to by the reset, one that has no place yet by its backend.
    if (this.#isReset() || this.#executor.url === undefined) return;
    this.#startedAt ??= performance.now();
    const { client, bootId: known } = this.#executor;
    const bounded = () => AbortSignal.any([signal, AbortSignal.timeout(this.#settings.timeoutMs)]);
    const { boot_id, resets } = await client.health(bounded());
    this.#failures = 0;
    this.#silence = undefined;
    if (resets) this.#executor.resets = resets;
    // It was reset meanwhile: the answer may be that of the process before.
    if (this.#executor.bootId !== known) return;
    const fresh = boot_id !== undefined && boot_id !== known;
    switch (this.#executor.state.name) {
      case "starting":
      case "unhealthy": {
        const { ready, reason } = await client.ready(bounded());
        if (!ready) return this.#notReady(reason ?? "it gives no reason");
        if (!this.#canBeReset()) return this.#unfit("it has no way to be reset by its container");
        await this.#readWarnings(bounded());
        const load = await client.load(bounded());
        // Another process took its place between two answers: the next probe asks that one everything.
        if (load && load.bootId !== boot_id) return;
        const unused = load?.used === false && this.#executor.usedBootId !== boot_id;
        return await this.#recovered({ bootId: boot_id, unused });
      }
      case "allocated":
        if (fresh) this.#fleet.markLost(this.#executor.number, { reason: "the executor was started anew" });
        return;
      case "free":
        if (fresh) this.#startsAnew();
        return;
      case "resetting":
        return;
    }
  }

  /** Another process took the place of one that nobody held: it is free again when it is ready. */
  #startsAnew(): void {
    this.#startedAt = performance.now();
    this.#fleet.changeState(this.#executor, { name: "starting", reason: "the executor was started anew" });
  }

  /** An executor that answers again is free if nobody can have used it, its session's if that survived, else reset. */
  async #recovered({ bootId, unused }: Recovery): Promise<void> {
    const { state } = this.#executor;
    if (state.name !== "starting" && state.name !== "unhealthy") return;
    const survived = bootId !== undefined && bootId === this.#executor.bootId;
    // Not before its state changes: a probe that fails in between must not make a fresh kernel look like the old one.
    this.#executor.bootId = bootId;
    if (state.sessionId && survived) {
      return this.#fleet.changeState(this.#executor, { name: "allocated", sessionId: state.sessionId });
    }
    if (unused) return this.#fleet.changeState(this.#executor, { name: "free" });
    const reason =
      state.name === "starting" ? "it was used before this manager started" : `after: ${state.reason}`;
    await this.#resetter.reset(this.#executor, { reason });
  }

  #isReset(): boolean {
    return this.#executor.state.name === "resetting";
  }

  #canBeReset(): boolean {
    const { reset, resets } = this.#executor;
    return this.#backend.restart !== undefined || resets.includes(reset);
  }

  /** Warnings are of use, but an executor serves without them. */
  async #readWarnings(signal: AbortSignal): Promise<void> {
    const info = await this.#executor.client.codeInfo(signal).catch(() => undefined);
    this.#executor.warnings =
      info?.failed.map(({ file, error }) => `mounted file ${file} failed: ${error}`) ?? [];
  }

  /** An executor that is not ready yet says why in its state; one that starts for too long has failed. */
  #notReady(reason: string): void {
    const { state } = this.#executor;
    if (state.name !== "starting" && state.name !== "unhealthy") return;
    // How an executor was lost is what its session will be told, whatever it is waiting for by then.
    const tellsSession = state.name === "unhealthy" && state.sessionId !== undefined;
    const startedAt = this.#startedAt ?? performance.now();
    const tooLong = performance.now() - startedAt >= this.#settings.startTimeoutMs;
    if (state.name === "starting" && (tooLong || reason.startsWith(START_FAILED))) {
      const since = tooLong ? `not ready after ${this.#settings.startTimeoutMs / 1000} s: ` : "";
      this.#fleet.markLost(this.#executor.number, { reason: since + reason });
    } else if (state.reason !== reason && !tellsSession) {
      this.#fleet.changeState(this.#executor, { ...state, reason });
    }
  }

  /** It answers, but cannot be used. */
  #unfit(reason: string): void {
    const { state, number } = this.#executor;
    if (state.name === "starting") this.#fleet.markLost(number, { reason });
    else this.#notReady(reason);
  }

  /**
   * What keeps it from answering, such as a fork bomb in its container, may last as long as the executor: it is
   * restarted, and put into a new place when that did not help.
   */
  async #restartIfSilent(signal: AbortSignal): Promise<void> {
    const silence = this.#silence;
    if (this.#executor.state.name !== "unhealthy" || !silence || !this.#backend.restart) return;
    const { restartAfterMs } = this.#settings;
    if (performance.now() - silence.since < restartAfterMs) return;
    const { number } = this.#executor;
    const replaces = silence.restarted && this.#backend.replace !== undefined;
    const doing = replaces ? this.#backend.replace?.(number, signal) : this.#backend.restart(number, signal);
    const result = await Promise.resolve(doing).then(
      () => `the manager ${replaces ? "replaced" : "restarted"} it`,
      (error: unknown) => `the manager could not ${replaces ? "replace" : "restart"} it: ${errorText(error)}`,
    );
    silence.since = performance.now();
    silence.restarted = true;
    const { state } = this.#executor;
    if (state.name !== "unhealthy") return;
    const reason = `${silence.lostReason}; silent for ${restartAfterMs / 1000} s: ${result}`;
    this.#fleet.changeState(this.#executor, { ...state, reason });
  }

  #fail(error: unknown, signal: AbortSignal): void {
    if (signal.aborted || this.#isReset()) return;
    if (this.#executor.state.name === "starting") return this.#notReady(errorText(error));
    const { state } = this.#executor;
    const answered = error instanceof ServiceError;
    if (state.name === "unhealthy" && !answered)
      this.#silence ??= { since: performance.now(), lostReason: state.reason, restarted: false };
    this.#failures += wasNeverSent(error) ? MAX_FAILURES / 2 : 1;
    if (this.#failures < MAX_FAILURES) return;
    const reason = `no answer to GET /health: ${errorText(error)}`;
    this.#fleet.markLost(this.#executor.number, { reason });
  }
}
