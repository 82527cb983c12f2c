import type { ExecutorNumber, SessionId } from "#contract/ids.ts";
import { ExecutorClient } from "./executor-client.ts";
import type { ExecutorState, ExecutorStateMachine } from "./executor-state.ts";

/** What a backend tells of an executor that it started or found. */
export interface ExecutorSpec {
  number: ExecutorNumber;
  type: string;
  /** `http://host:port` or `unix:/path`. */
  url: string;
  /** Bearer token that the executor expects of its callers. */
  token?: string;
}

/** One executor of the fleet, which alone changes its state. */
export class Executor implements AsyncDisposable {
  readonly number: ExecutorNumber;
  readonly type: string;
  readonly url: string;
  readonly client: ExecutorClient;
  /** From `/health`; another value means another process with an empty kernel. */
  bootId: string | undefined;
  /** What its operator should know, for example a mounted file that raised. */
  warnings: string[] = [];
  readonly #machine: Pick<ExecutorStateMachine, "state" | "lostSignal">;

  constructor(spec: ExecutorSpec, machine: Pick<ExecutorStateMachine, "state" | "lostSignal">) {
    this.#machine = machine;
    this.number = spec.number;
    this.type = spec.type;
    this.url = spec.url;
    this.client = new ExecutorClient(spec.url, spec.token);
  }

  get state(): ExecutorState {
    return this.#machine.state;
  }

  /** Aborted, with the reason, when the executor stops answering. */
  get lostSignal(): AbortSignal {
    return this.#machine.lostSignal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
  }
}

/** The session that a state belongs to, if any. */
export function sessionOf(state: ExecutorState): SessionId | undefined {
  return state.name === "allocated" || state.name === "unhealthy" ? state.sessionId : undefined;
}
