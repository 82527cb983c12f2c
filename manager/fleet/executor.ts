import type { ExecutorNumber, SessionId } from "#contract/ids.ts";
import { ExecutorClient } from "./executor-client.ts";
import { assertTransition, type ExecutorState } from "./executor-state.ts";

/** What a backend tells of an executor that it started or found. */
export interface ExecutorSpec {
  number: ExecutorNumber;
  type: string;
  /** `http://host:port` or `unix:/path`. */
  url: string;
  /** Bearer token that the executor expects of its callers. */
  token?: string;
}

/** One executor of the fleet. Its state changes in {@link Executor.changeState} alone. */
export class Executor implements AsyncDisposable {
  readonly number: ExecutorNumber;
  readonly type: string;
  readonly url: string;
  readonly client: ExecutorClient;
  /** From `/health`; another value means another process with an empty kernel. */
  bootId: string | undefined;
  /** What its operator should know, for example a mounted file that raised. */
  warnings: string[] = [];
  #state: ExecutorState = { name: "starting", reason: "not probed yet" };
  #lost = new AbortController();

  constructor(spec: ExecutorSpec) {
    this.number = spec.number;
    this.type = spec.type;
    this.url = spec.url;
    this.client = new ExecutorClient(spec.url, spec.token);
  }

  get state(): ExecutorState {
    return this.#state;
  }

  /** Aborted, with the reason, when the executor stops answering. */
  get lostSignal(): AbortSignal {
    return this.#lost.signal;
  }

  /** @throws {Error} for a step that the transition table does not allow. */
  changeState(next: ExecutorState): void {
    assertTransition(this.#state.name, next.name);
    if (this.#state.name === "unhealthy" && next.name !== "unhealthy") this.#lost = new AbortController();
    this.#state = next;
    if (next.name === "unhealthy") this.#lost.abort(new Error(next.reason));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
  }
}

/** The session that a state belongs to, if any. */
export function sessionOf(state: ExecutorState): SessionId | undefined {
  return state.name === "allocated" || state.name === "unhealthy" ? state.sessionId : undefined;
}
