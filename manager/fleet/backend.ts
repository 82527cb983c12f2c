import type { ResetKind } from "#contract/executor-api.ts";
import type { ExecutorNumber } from "#contract/ids.ts";
import type { ConnectionStatus } from "#contract/manager-api.ts";

/** An executor that there is to be. */
export interface ExecutorPlan {
  number: ExecutorNumber;
  type: string;
  /** How it is cleared between two tenants; undefined for the most thorough way that it offers. */
  reset?: ResetKind | undefined;
}

/** Where an executor is reached. */
export interface ExecutorEndpoint {
  /** `http://host:port` or `unix:/path`. */
  url: string;
  /** Bearer token that the executor expects of its callers. */
  token?: string;
}

/** How an executor was lost. */
export interface Loss {
  reason: string;
  /** Whether the memory limit ended it. */
  outOfMemory?: true;
}

/** What a backend tells the fleet about its executors. */
export interface BackendEvents {
  /** From now on it is reached there; it may still be starting. */
  placed: (number: ExecutorNumber, endpoint: ExecutorEndpoint) => void;
  /** What an executor that has not started yet waits for. */
  waiting: (number: ExecutorNumber, reason: string) => void;
  /** What ran in its place before the backend started is gone, and why. Told before `placed`. */
  replaced: (number: ExecutorNumber, reason: string) => void;
  /** It was seen to have ended without being asked to; whatever becomes of it, what was in it is gone. */
  lost: (number: ExecutorNumber, loss: Loss) => void;
}

/** The connection to what runs the executors, where there is such a thing. */
export interface BackendConnection {
  readonly status: ConnectionStatus;
  /** Tries at once to connect, or to find out whether the connection is good; tells the state that this leads to. */
  heal: (signal: AbortSignal) => Promise<ConnectionStatus>;
}

/** What starts, watches and stops executors. */
export interface Backend {
  readonly name: "static" | "process" | "docker";
  /** What the operator should know about this way of running, such as missing isolation. */
  readonly warnings: readonly string[];
  /** Absent where executors are reached without an engine. */
  readonly connection?: BackendConnection;
  /**
   * Tells which executors there will be, before any of them is started, which may take long.
   *
   * @throws {Error} when there can be no fleet
   */
  plan: () => Promise<ExecutorPlan[]>;
  /** What `start` would do and why, a line a step. Nothing is done, and nothing made. */
  preview: (signal: AbortSignal) => Promise<string[]>;
  /**
   * Takes up the planned executors that run already and starts the others; resolves when all have their place.
   *
   * @throws {Error} when the fleet cannot be started at all; or the signal's reason
   */
  start: (events: BackendEvents, signal: AbortSignal) => Promise<void>;
  /**
   * Ends one executor at once, whatever it does, and starts it again in the same place, without that being told as a
   * loss. Absent where somebody else starts the executors.
   *
   * @throws {Error} when it cannot be ended or started
   */
  restart?: (number: ExecutorNumber, signal: AbortSignal) => Promise<void>;
  /**
   * Puts a new executor in the place of one that cannot be brought back. Absent where that is no more than a restart.
   *
   * @throws {Error} when it cannot be made
   */
  replace?: (number: ExecutorNumber, signal: AbortSignal) => Promise<void>;
  /** Why an executor broke off just now, where that can be found out. */
  explainLoss?: (number: ExecutorNumber, signal: AbortSignal) => Promise<Loss | undefined>;
  /** Ends every executor but those that are kept for the next manager. */
  stop: (kept: ReadonlySet<ExecutorNumber>) => Promise<void>;
}
