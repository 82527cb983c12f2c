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
import type { ExecutionQueue } from "./execution-queue.ts";

/** Built-in clients give up on a body that is silent for long. */
const KEEP_ALIVE_MS = 5000;
const NEVER = new AbortController().signal;

/** Runs the request and folds its events into one reply. */
export async function collectedReply(
  executions: ExecutionQueue,
  request: ExecuteRequest,
  { clientGone }: { clientGone: AbortSignal },
): Promise<ExecuteReply> {
  const outputs: Output[] = [];
  let end: OutcomeEvent | undefined;
  const emit = (event: ExecutionEvent) => {
    applyEvent(outputs, event);
    if (event.type === "outcome") end = event;
  };
  await executions.run(request, { emit, signal: stopSignal(request, clientGone) });
  if (end === undefined) throw new Error("An execution ended without an outcome");
  return replyOf(outputs, end);
}

/** Runs the request and streams its events as they come. The output cap bounds what waits for a slow client. */
export function eventStream(
  executions: ExecutionQueue,
  request: ExecuteRequest,
  { format, clientGone }: { format: StreamFormat; clientGone: AbortSignal },
): Response {
  const cancelled = new AbortController();
  const signal = stopSignal(request, AbortSignal.any([clientGone, cancelled.signal]));
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
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
      executions.run(request, { emit: send, signal }).then(
        () => finish(() => controller.close()),
        (error: unknown) => finish(() => controller.error(error)),
      );
    },
    cancel() {
      cancelled.abort();
    },
  });
  return new Response(body, {
    headers: {
      "Content-Type": format,
      "Cache-Control": "no-store",
      // Proxies would hold events back otherwise.
      "X-Accel-Buffering": "no",
    },
  });
}

/** What stops the run when its client goes away: nothing, when the request says that it goes on. */
function stopSignal(request: ExecuteRequest, clientGone: AbortSignal): AbortSignal {
  return request.on_disconnect === "interrupt" ? clientGone : NEVER;
}
