import { z } from "zod";
import { applyEvent, decodeNdjson, NDJSON, replyOf, type ExecutionEvent } from "#contract/events.ts";
import type { ExecuteReply, executeRequestSchema } from "#contract/execution.ts";
import {
  codeInfoSchema,
  healthSchema,
  interruptReplySchema,
  readySchema,
  restartReplySchema,
  restartStatusSchema,
  type CodeInfo,
  type Health,
  type InterruptReply,
  type Ready,
  type RestartReply,
  type RestartStatus,
} from "#contract/executor-api.ts";
import {
  allocationSchema,
  deallocationSchema,
  fleetRestartSchema,
  statusSchema,
  type Allocation,
  type Deallocation,
  type FleetRestart,
  type Status,
} from "#contract/manager-api.ts";
import type { Output } from "#contract/outputs.ts";
import { FleetError } from "./fleet-error.ts";
import { ManagerConnection, type ApiRequest } from "./manager-connection.ts";

/** What every call may be given. An aborted signal rejects the call with the signal's reason. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** How a session is addressed: the number of its executor, or its id. */
export type Ref = string | number;

/** Code to run, and how; only `code` has to be there. */
export type ExecutionInput = z.input<typeof executeRequestSchema>;

/**
 * The manager's HTTP API. Every reply is validated. Nothing is retried, least of all an execution.
 *
 * Every method throws {@link FleetError}, or the reason of the signal that was given.
 */
export class FleetClient implements AsyncDisposable {
  readonly #connection: ManagerConnection;

  /** @throws {TypeError} when the URL is none of http or https, or the key cannot be sent. */
  constructor(options: { url: string; apiKey?: string | undefined }) {
    this.#connection = new ManagerConnection(options.url, options.apiKey);
  }

  /** Whether the manager lives. */
  health(options?: CallOptions): Promise<Health> {
    return this.#connection.json({ method: "GET", path: "/health", ...options }, healthSchema);
  }

  /** What every executor is doing. */
  status(options?: CallOptions): Promise<Status> {
    return this.#connection.json({ method: "GET", path: "/status", ...options }, statusSchema);
  }

  /** Opens a session on the executor that was free longest. `wait`: seconds to wait for one. */
  allocate(options: CallOptions & { type?: string; wait?: number } = {}): Promise<Allocation> {
    const { type, wait, signal } = options;
    const query = { container_type: type, wait };
    return this.#connection.json({ method: "POST", path: "/allocate", query, signal }, allocationSchema);
  }

  /** Ends a session. `wait`: seconds to wait until its executor is clean and free again. */
  deallocate(ref: Ref, options: CallOptions & { wait?: number } = {}): Promise<Deallocation> {
    const { wait, signal } = options;
    const path = `/deallocate/${encodeURIComponent(ref)}`;
    return this.#connection.json({ method: "POST", path, query: { wait }, signal }, deallocationSchema);
  }

  /** Ends every session and resets the executors that were held. */
  restartFleet(options?: CallOptions): Promise<FleetRestart> {
    return this.#connection.json({ method: "POST", path: "/restart", ...options }, fleetRestartSchema);
  }

  /**
   * Runs code and resolves to how the run ended and what it printed. It is asked for as a stream of events, which
   * also an executor that knows only `outputs` is turned into, and which stays alive through silent hours.
   */
  async execute(ref: Ref, input: ExecutionInput, options?: CallOptions): Promise<ExecuteReply> {
    const outputs: Output[] = [];
    for await (const event of this.stream(ref, input, options)) {
      if (event.type === "outcome") return replyOf(outputs, event);
      applyEvent(outputs, event);
    }
    throw new Error("an event stream ended without an outcome");
  }

  /**
   * Runs code and yields the events of the run as they come, the outcome last. Ending the iteration early, or
   * aborting the signal, closes the connection: the executor then does what `on_disconnect` says.
   */
  async *stream(ref: Ref, input: ExecutionInput, options?: CallOptions): AsyncGenerator<ExecutionEvent> {
    const path = `${sessionPath(ref)}/execute`;
    const request: ApiRequest = { method: "POST", path, body: input, accept: NDJSON, ...options };
    const reply = await this.#connection.open(request);
    try {
      for await (const event of decodeNdjson(reply.body)) {
        yield event;
        if (event.type === "outcome") return;
      }
    } catch (error) {
      if (!isMalformed(error)) throw this.#connection.failure(request, error);
      const message = `POST ${path} sent what is no event`;
      throw new FleetError("bad_reply", message, { status: reply.statusCode, cause: error });
    }
    throw new FleetError("connection_lost", `the event stream of POST ${path} ended without an outcome`);
  }

  /** Interrupts what runs in a session; its state is kept. */
  interrupt(ref: Ref, options?: CallOptions): Promise<InterruptReply> {
    return this.#session("POST", ref, "/interrupt", interruptReplySchema, options);
  }

  /** Starts a restart of a session's kernel, which clears all state; `ready` tells when it is over. */
  restart(ref: Ref, options?: CallOptions): Promise<RestartReply> {
    return this.#session("POST", ref, "/restart", restartReplySchema, options);
  }

  restartStatus(ref: Ref, options?: CallOptions): Promise<RestartStatus> {
    return this.#session("GET", ref, "/restart-status", restartStatusSchema, options);
  }

  /** Whether a session's executor lives. */
  sessionHealth(ref: Ref, options?: CallOptions): Promise<Health> {
    return this.#session("GET", ref, "/health", healthSchema, options);
  }

  /** Whether a session's kernel can run code. */
  ready(ref: Ref, options?: CallOptions): Promise<Ready> {
    return this.#session("GET", ref, "/ready", readySchema, options);
  }

  /** What became of the mounted code. */
  codeInfo(ref: Ref, options?: CallOptions): Promise<CodeInfo> {
    return this.#session("GET", ref, "/code-info", codeInfoSchema, options);
  }

  #session<T>(
    method: ApiRequest["method"],
    ref: Ref,
    path: string,
    schema: z.ZodType<T>,
    options: CallOptions | undefined,
  ): Promise<T> {
    return this.#connection.json({ method, path: sessionPath(ref) + path, ...options }, schema);
  }

  /** Closes every connection at once; calls under way fail. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection[Symbol.asyncDispose]();
  }
}

function sessionPath(ref: Ref): string {
  return `/session/${encodeURIComponent(ref)}`;
}

/** Whether an error says that a line was not an event, rather than that the connection broke. */
function isMalformed(error: unknown): boolean {
  return error instanceof SyntaxError || error instanceof z.ZodError;
}
