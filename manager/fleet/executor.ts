import { ServiceError } from "#contract/errors.ts";
import type { ResetKind } from "#contract/executor-api.ts";
import type { ExecutorNumber, SessionId } from "#contract/ids.ts";
import type { ExecutorEndpoint, ExecutorPlan } from "./backend.ts";
import { ExecutorClient } from "./executor-client.ts";
import type { ExecutorState, ExecutorStateMachine } from "./executor-state.ts";

/** One executor of the fleet, which alone changes its state. */
export class Executor implements AsyncDisposable {
  readonly number: ExecutorNumber;
  readonly type: string;
  /** From `/health`; another value means another process with an empty kernel. */
  bootId: string | undefined;
  /** The process in which a session left, or may have left, something behind. */
  usedBootId: string | undefined;
  /** The ways of resetting that the executor offers. */
  resets: readonly ResetKind[] = ["kernel"];
  /** What its operator should know, for example a mounted file that raised. */
  warnings: string[] = [];
  readonly #reset: ResetKind | undefined;
  readonly #machine: Pick<ExecutorStateMachine, "state" | "lostSignal">;
  #place: (ExecutorEndpoint & { client: ExecutorClient }) | undefined;

  constructor(plan: ExecutorPlan, machine: Pick<ExecutorStateMachine, "state" | "lostSignal">) {
    this.#machine = machine;
    this.#reset = plan.reset;
    this.number = plan.number;
    this.type = plan.type;
  }

  get state(): ExecutorState {
    return this.#machine.state;
  }

  /** Aborted with an `ExecutorLost` when the executor stops answering. */
  get lostSignal(): AbortSignal {
    return this.#machine.lostSignal;
  }

  /** How it is cleared between two tenants: as its operator says, else in the most thorough way that it offers. */
  get reset(): ResetKind {
    return this.#reset ?? (this.resets.includes("container") ? "container" : "kernel");
  }

  /** Undefined until it has its place. */
  get url(): string | undefined {
    return this.#place?.url;
  }

  /** @throws {ServiceError} `executor_unavailable` while the executor has no place yet */
  get client(): ExecutorClient {
    if (this.#place) return this.#place.client;
    throw new ServiceError("executor_unavailable", `Container ${this.number} has not been started yet`);
  }

  /** Says where the executor is reached from now on. */
  async place(endpoint: ExecutorEndpoint): Promise<void> {
    const last = this.#place;
    if (last && last.url === endpoint.url && last.token === endpoint.token) return;
    this.#place = { ...endpoint, client: new ExecutorClient(endpoint.url, endpoint.token) };
    await last?.client[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#place?.client[Symbol.asyncDispose]();
  }
}

/** The session that a state belongs to, if any. */
export function sessionOf(state: ExecutorState): SessionId | undefined {
  return "sessionId" in state ? state.sessionId : undefined;
}
