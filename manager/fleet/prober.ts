import { setTimeout as delay } from "node:timers/promises";
import { wasNeverSent } from "#contract/connection-errors.ts";
import { errorText, ServiceError } from "#contract/errors.ts";
import type { Backend } from "./backend.ts";
import type { Executor } from "./executor.ts";
import type { Fleet } from "./fleet.ts";
import { resetExecutor } from "./reset.ts";

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
  /** Aborts when the manager stops. */
  signal: AbortSignal;
}

/** Probes every executor until the signal aborts, and has the backend restart those that stay silent. */
export async function probeFleet(
  fleet: Fleet,
  backend: Backend,
  settings: ProbeSettings,
  signal: AbortSignal,
): Promise<void> {
  const probers = fleet.executors.map((executor) => new Prober({ fleet, backend, executor, settings }));
  await Promise.all(probers.map((prober) => prober.run(signal)));
}

/** Watches one executor. It asks `/health` and `/ready` only, never runs code. */
class Prober {
  readonly #fleet: Fleet;
  readonly #backend: Backend;
  readonly #executor: Executor;
  readonly #settings: ProbeSettings;
  #startedAt = performance.now();
  #failures = 0;
  /** Since when an unhealthy executor has given no answer, or when it was last restarted; and why it was lost. */
  #silence: { since: number; lostReason: string } | undefined;

  constructor(watched: { fleet: Fleet; backend: Backend; executor: Executor; settings: ProbeSettings }) {
    this.#fleet = watched.fleet;
    this.#backend = watched.backend;
    this.#executor = watched.executor;
    this.#settings = watched.settings;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#probe(signal).catch((error: unknown) => this.#fail(error, signal));
      if (!signal.aborted) await this.#restartIfSilent();
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
    const { client } = this.#executor;
    const bounded = () => AbortSignal.any([signal, AbortSignal.timeout(this.#settings.timeoutMs)]);
    const { boot_id } = await client.health(bounded());
    this.#failures = 0;
    this.#silence = undefined;
    const fresh = boot_id !== undefined && boot_id !== this.#executor.bootId;
    switch (this.#executor.state.name) {
      case "starting":
      case "unhealthy": {
        const { ready, reason } = await client.ready(bounded());
        if (!ready) return this.#notReady(reason ?? "it gives no reason");
        await this.#readWarnings(bounded());
        const unused = (await client.executions(bounded())) === 0;
        return this.#recovered({ bootId: boot_id, unused, signal });
      }
      case "allocated":
        if (fresh) this.#fleet.markLost(this.#executor.number, "the executor was started anew");
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
  async #recovered({ bootId, unused, signal }: Recovery): Promise<void> {
    const { state } = this.#executor;
    if (state.name !== "starting" && state.name !== "unhealthy") return;
    const survived = bootId !== undefined && bootId === this.#executor.bootId;
    // Not before its state changes: a probe that fails in between must not make a fresh kernel look like the old one.
    this.#executor.bootId = bootId;
    if (state.name === "unhealthy" && state.sessionId && survived) {
      return this.#fleet.changeState(this.#executor, { name: "allocated", sessionId: state.sessionId });
    }
    if (unused) return this.#fleet.changeState(this.#executor, { name: "free" });
    const reason =
      state.name === "starting" ? "it was used before this manager started" : `after: ${state.reason}`;
    const { resetTimeoutMs: timeoutMs } = this.#settings;
    await resetExecutor(this.#fleet, this.#executor, { reason, timeoutMs, signal });
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
    const tooLong = performance.now() - this.#startedAt >= this.#settings.startTimeoutMs;
    if (state.name === "starting" && (tooLong || reason.startsWith(START_FAILED))) {
      const since = tooLong ? `not ready after ${this.#settings.startTimeoutMs / 1000} s: ` : "";
      this.#fleet.markLost(this.#executor.number, since + reason);
    } else if (state.reason !== reason) {
      this.#fleet.changeState(this.#executor, { ...state, reason });
    }
  }

  /** What keeps it from answering, such as a fork bomb in its container, may last as long as the executor. */
  async #restartIfSilent(): Promise<void> {
    const silence = this.#silence;
    if (this.#executor.state.name !== "unhealthy" || !silence || !this.#backend.restart) return;
    const { restartAfterMs } = this.#settings;
    if (performance.now() - silence.since < restartAfterMs) return;
    const result = await this.#backend.restart(this.#executor.number).then(
      () => "the manager restarted it",
      (error: unknown) => `the manager could not restart it: ${errorText(error)}`,
    );
    silence.since = performance.now();
    const { state } = this.#executor;
    if (state.name !== "unhealthy") return;
    const reason = `${silence.lostReason}; silent for ${restartAfterMs / 1000} s: ${result}`;
    this.#fleet.changeState(this.#executor, { ...state, reason });
  }

  #fail(error: unknown, signal: AbortSignal): void {
    if (signal.aborted) return;
    if (this.#executor.state.name === "starting") return this.#notReady(errorText(error));
    const { state } = this.#executor;
    const answered = error instanceof ServiceError;
    if (state.name === "unhealthy" && !answered)
      this.#silence ??= { since: performance.now(), lostReason: state.reason };
    this.#failures += wasNeverSent(error) ? MAX_FAILURES / 2 : 1;
    if (this.#failures < MAX_FAILURES) return;
    this.#fleet.markLost(this.#executor.number, `no answer to GET /health: ${errorText(error)}`);
  }
}
