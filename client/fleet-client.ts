import type { z } from "zod";
import { applyEvent, replyOf, type ExecutionEvent } from "#contract/events.ts";
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
  connectionSchema,
  deallocationSchema,
  fleetRestartSchema,
  readinessSchema,
  sessionEndSchema,
  sessionListSchema,
  sessionSchema,
  statusSchema,
  type Allocation,
  type Connection,
  type Deallocation,
  type EnsureSession,
  type FleetRestart,
  type Readiness,
  type Renewal,
  type Session,
  type SessionEnd,
  type SessionList,
  type SessionSpec,
  type Status,
} from "#contract/manager-api.ts";
import type { Output } from "#contract/outputs.ts";
import { executionEvents } from "./execution-events.ts";
import { ManagerConnection, type ApiRequest } from "./manager-connection.ts";

/** What every call may be given. An aborted signal rejects the call with the signal's reason. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
}

const CREATED = 201;

/** How a session is addressed: the number of its executor, its id, or `name@namespace`. */
export type Ref = string | number;

/** A session's name; without a namespace it counts in the manager's own. */
export interface NameInNamespace {
  name: string;
  namespace?: string;
}

/** Code to run, and how; only `code` has to be there. */
export type ExecutionInput = z.input<typeof executeRequestSchema>;

/**
 * The manager's HTTP API. Every reply is validated. Nothing is retried, least of all an execution.
 *
 * Every method throws `FleetError`, or the reason of the signal that was given.
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

  /** Whether work can be done. The manager tries to heal its connection to the engine before it answers. */
  readiness(options?: CallOptions): Promise<Readiness> {
    const request: ApiRequest = { method: "GET", path: "/readyz", resultStatus: 503, ...options };
    return this.#connection.json(request, readinessSchema);
  }

  /** How the manager is connected to what runs its executors, and its namespace. */
  connection(options?: CallOptions): Promise<Connection> {
    return this.#connection.json({ method: "GET", path: "/connection", ...options }, connectionSchema);
  }

  /** What every executor is doing. */
  status(options?: CallOptions): Promise<Status> {
    return this.#connection.json({ method: "GET", path: "/status", ...options }, statusSchema);
  }

  /**
   * Opens the session of that name, unless it is there already with the same spec; `created` tells which. Callers who
   * race for a name get the same session.
   */
  async ensureSession(
    { name, namespace }: NameInNamespace,
    spec: EnsureSession = {},
    options?: CallOptions,
  ): Promise<{ session: Session; created: boolean }> {
    const path = sessionPath(namespace === undefined ? name : `${name}@${namespace}`);
    const request: ApiRequest = { method: "PUT", path, body: spec, ...options };
    const { status, body: session } = await this.#connection.reply(request, sessionSchema);
    return { session, created: status === CREATED };
  }

  /** The sessions that are open, of one namespace or of all, and those that the fleet's config asks for. */
  sessions(options: CallOptions & { namespace?: string } = {}): Promise<SessionList> {
    const { namespace, signal } = options;
    const request: ApiRequest = { method: "GET", path: "/sessions", query: { namespace }, signal };
    return this.#connection.json(request, sessionListSchema);
  }

  session(ref: Ref, options?: CallOptions): Promise<Session> {
    return this.#session("GET", ref, "", sessionSchema, options);
  }

  /** Ends a session at once, without waiting for its executor to be clean. */
  endSession(ref: Ref, options?: CallOptions): Promise<SessionEnd> {
    return this.#session("DELETE", ref, "", sessionEndSchema, options);
  }

  /** Lets a session's limits begin anew from now, or gives it new ones. */
  renew(ref: Ref, limits: Renewal = {}, options?: CallOptions): Promise<Session> {
    const request: ApiRequest = {
      method: "POST",
      path: `${sessionPath(ref)}/renew`,
      body: limits,
      ...options,
    };
    return this.#connection.json(request, sessionSchema);
  }

  /** Opens a session of that spec on the executor that was free longest. `wait`: seconds to wait for one. */
  allocate({
    type,
    wait,
    signal,
    ...spec
  }: CallOptions & SessionSpec & { wait?: number } = {}): Promise<Allocation> {
    const query = { container_type: type, wait };
    const body = Object.keys(spec).length === 0 ? undefined : spec;
    return this.#connection.json(
      { method: "POST", path: "/allocate", query, body, signal },
      allocationSchema,
    );
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
  stream(ref: Ref, input: ExecutionInput, options?: CallOptions): AsyncGenerator<ExecutionEvent> {
    const path = `${sessionPath(ref)}/execute`;
    return executionEvents(this.#connection, { method: "POST", path, body: input, ...options });
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
