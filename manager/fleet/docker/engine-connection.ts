import { setTimeout as delay } from "node:timers/promises";
import pRetry from "p-retry";
import type { Logger } from "pino";
import type { ConnectionStatus } from "#contract/manager-api.ts";
import { errorText } from "#contract/errors.ts";
import type { BackendConnection } from "#manager/fleet/backend.ts";
import { orAborted } from "#manager/fleet/or-aborted.ts";
import type { Engine, EngineInfo } from "./engine.ts";

const PING_INTERVAL_MS = 2_000;
const MIN_RETRY_DELAY_MS = 100;
const MAX_RETRY_DELAY_MS = 2_000;

type State =
  | { name: "not_connected"; reason: string }
  /** `lastError`: of the attempt before, if there was one. */
  | { name: "connecting"; lastError?: string }
  | { name: "connected"; info: EngineInfo }
  | { name: "error"; error: string };

/** Which state may follow which. From `connected` to itself: it was found out that the connection is good. */
export const CONNECTION_TRANSITIONS = {
  not_connected: ["connecting"],
  connecting: ["connected", "error", "not_connected"],
  connected: ["connected", "error", "not_connected"],
  error: ["connecting", "not_connected"],
} as const satisfies Record<State["name"], readonly State["name"][]>;

/**
 * The one connection to the engine that everything shares. It is made on first use; once somebody has waited for it, it
 * is watched and made again whenever the engine goes away, until it is closed.
 */
export class EngineConnection implements BackendConnection {
  readonly engine: Engine;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<(status: ConnectionStatus) => void>();
  #state: State = { name: "not_connected", reason: "nothing has needed it yet" };
  #lost = new AbortController();
  #attempt: Promise<EngineInfo> | undefined;
  #supervisor: Promise<void> | undefined;
  #doubt = new AbortController();

  constructor(engine: Engine, log: Logger) {
    this.engine = engine;
    this.#log = log;
  }

  get status(): ConnectionStatus {
    const { address } = this.engine;
    const state = this.#state;
    switch (state.name) {
      case "not_connected":
        return { status: "not_connected", reason: state.reason };
      case "connecting":
        return state.lastError === undefined
          ? { status: "not_connected", reason: "it is being connected" }
          : { status: "error", error: state.lastError, address };
      case "error":
        return { status: "error", error: state.error, address };
      case "connected": {
        const { version, resources } = state.info;
        return { status: "connected", address, engine_version: version, resources };
      }
    }
  }

  /** What the engine said about itself, while there is a connection. */
  get info(): EngineInfo | undefined {
    return this.#state.name === "connected" ? this.#state.info : undefined;
  }

  /** Aborted when the present connection is lost, so that nothing waits for a reply on it. */
  get lostSignal(): AbortSignal {
    return this.#lost.signal;
  }

  /** Calls the listener after every change of the status. Returns what takes it away again. */
  onChange(listener: (status: ConnectionStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Connects, in one attempt that concurrent callers share. `force` asks the engine also when it seems connected.
   *
   * @throws {Error} that says why the engine does not answer; or the signal's reason
   */
  async connect({ signal, force = false }: { signal: AbortSignal; force?: boolean }): Promise<EngineInfo> {
    if (this.info && !force) return this.info;
    this.#attempt ??= this.#connectOnce().finally(() => (this.#attempt = undefined));
    return await orAborted(this.#attempt, signal);
  }

  /** Whether the engine answers right now. */
  async probe(signal: AbortSignal): Promise<boolean> {
    return await this.connect({ signal, force: true }).then(
      () => true,
      () => false,
    );
  }

  async heal(signal: AbortSignal): Promise<ConnectionStatus> {
    await this.probe(signal);
    return this.status;
  }

  /** Resolves as soon as there is a connection, however long that takes; from now on it is watched. */
  async waitReady(signal: AbortSignal): Promise<EngineInfo> {
    signal.throwIfAborted();
    this.#supervisor ??= this.#supervise();
    const { promise, resolve, reject } = Promise.withResolvers<EngineInfo>();
    const check = () => {
      if (this.info) resolve(this.info);
      else if (this.#stop.signal.aborted) reject(this.#stop.signal.reason);
    };
    const stopListening = this.onChange(check);
    check();
    return await orAborted(promise, signal).finally(stopListening);
  }

  /** Has the engine asked at once, since something on the connection broke off. */
  suspect(): void {
    this.#doubt.abort();
  }

  /** Ends the watch; nothing connects again. */
  async close(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new Error("the connection to the Docker engine is closed"));
    if (this.#state.name !== "not_connected") this.#change({ name: "not_connected", reason: "it is closed" });
    await this.#supervisor;
    await this.#attempt?.catch(() => undefined);
  }

  /** The one function that changes the state. */
  #change(next: State): void {
    const allowed: readonly State["name"][] = CONNECTION_TRANSITIONS[this.#state.name];
    if (!allowed.includes(next.name))
      throw new Error(`the connection cannot go from ${this.#state.name} to ${next.name}`);
    const wasConnected = this.#state.name === "connected";
    this.#state = next;
    if (next.name === "connected" && !wasConnected) this.#lost = new AbortController();
    if (next.name !== "connected" && wasConnected) this.#lost.abort(new Error("the Docker engine went away"));
    if (wasConnected !== (next.name === "connected"))
      this.#log.info({ status: this.status }, "the connection to the engine changed");
    for (const listener of this.#listeners) listener(this.status);
  }

  async #connectOnce(): Promise<EngineInfo> {
    this.#stop.signal.throwIfAborted();
    if (this.#state.name === "error") this.#change({ name: "connecting", lastError: this.#state.error });
    else if (this.#state.name === "not_connected") this.#change({ name: "connecting" });
    try {
      const info = await this.engine.info(this.#stop.signal);
      this.#stop.signal.throwIfAborted();
      this.#change({ name: "connected", info });
      return info;
    } catch (error) {
      this.#fail(error);
      throw new Error("the Docker engine does not answer", { cause: error });
    }
  }

  #fail(error: unknown): void {
    const { name } = this.#state;
    if (name === "connecting" || name === "connected")
      this.#change({ name: "error", error: errorText(error) });
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stop;
    const backOff = {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: MIN_RETRY_DELAY_MS,
      maxTimeout: MAX_RETRY_DELAY_MS,
    };
    while (!signal.aborted) {
      await pRetry(() => this.connect({ signal }), { ...backOff, signal }).catch(() => undefined);
      await this.#untilDue();
      if (!signal.aborted) await this.#ask();
    }
  }

  /** Waits for the next time that the engine is asked, which comes early when there is doubt. */
  async #untilDue(): Promise<void> {
    const early = AbortSignal.any([this.#stop.signal, this.#doubt.signal]);
    await delay(PING_INTERVAL_MS, undefined, { signal: early }).catch(() => undefined);
  }

  async #ask(): Promise<void> {
    const { signal } = this.#stop;
    const isDoubted = this.#doubt.signal.aborted;
    if (isDoubted) this.#doubt = new AbortController();
    // Another engine may be there by now, of which more than an answer is to be known.
    if (isDoubted) await this.probe(signal);
    else await this.engine.ping(signal).catch((error: unknown) => this.#fail(error));
  }
}
