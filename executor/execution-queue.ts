import PQueue from "p-queue";
import {
  applyEvent,
  encodeEvent,
  replyOf,
  type ExecutionEvent,
  type OutcomeEvent,
  type StreamFormat,
} from "#contract/events.ts";
import type { ExecuteReply, ExecuteRequest } from "#contract/execution.ts";
import type { Output } from "#contract/outputs.ts";
import { Execution, type ExecutionContext } from "./execution.ts";

/** Built-in clients give up on a body that is silent for long. */
const KEEP_ALIVE_MS = 5000;

/** Runs executions one at a time, in the order in which they came, and replies with their events. */
export class ExecutionQueue {
  readonly #context: ExecutionContext;
  readonly #queue = new PQueue({ concurrency: 1 });
  #running: Execution | undefined;
  #count = 0;

  constructor(context: ExecutionContext) {
    this.#context = context;
  }

  /** How many executions have begun so far. */
  get count(): number {
    return this.#count;
  }

  /** How many executions wait for their turn. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Runs the request and folds its events into one reply. */
  async reply(request: ExecuteRequest, { clientGone }: { clientGone: AbortSignal }): Promise<ExecuteReply> {
    const outputs: Output[] = [];
    let end: OutcomeEvent | undefined;
    const emit = (event: ExecutionEvent) => {
      applyEvent(outputs, event);
      if (event.type === "outcome") end = event;
    };
    await this.#run(request, emit, clientGone);
    if (end === undefined) throw new Error("An execution ended without an outcome");
    return replyOf(outputs, end);
  }

  /** Runs the request and streams its events as they come. The output cap bounds what waits for a slow client. */
  stream(
    request: ExecuteRequest,
    { format, clientGone }: { format: StreamFormat; clientGone: AbortSignal },
  ): ReadableStream<Uint8Array> {
    const cancelled = new AbortController();
    const gone = AbortSignal.any([clientGone, cancelled.signal]);
    const encoder = new TextEncoder();
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        let lastSeq = 0;
        const send = (event: ExecutionEvent) => {
          lastSeq = event.seq;
          if (!cancelled.signal.aborted) controller.enqueue(encoder.encode(encodeEvent(event, format)));
        };
        const timer = setInterval(() => send({ type: "keep_alive", seq: lastSeq }), KEEP_ALIVE_MS);
        const finish = (settle: () => void) => {
          clearInterval(timer);
          if (!cancelled.signal.aborted) settle();
        };
        this.#run(request, send, gone).then(
          () => finish(() => controller.close()),
          (error: unknown) => finish(() => controller.error(error)),
        );
      },
      cancel: () => cancelled.abort(),
    });
  }

  /** Interrupts the running execution. */
  interrupt(): "interrupting" | "idle" {
    if (this.#running === undefined) return "idle";
    this.#running.interrupt();
    return "interrupting";
  }

  /** Resolves when nothing runs or waits. */
  async drained(): Promise<void> {
    await this.#queue.onIdle();
  }

  async #run(
    request: ExecuteRequest,
    emit: (event: ExecutionEvent) => void,
    clientGone: AbortSignal,
  ): Promise<void> {
    const signal = request.on_disconnect === "interrupt" ? clientGone : new AbortController().signal;
    const execution = new Execution(request, this.#context, { emit, signal });
    // The slot is taken until `run` has settled, that is until the kernel is idle again: with the queue's own
    // `timeout` or `signal` the next cell would begin while this one still runs.
    await this.#queue.add(async () => {
      this.#count += 1;
      this.#running = execution;
      try {
        await execution.run();
      } finally {
        this.#running = undefined;
      }
    });
  }
}
