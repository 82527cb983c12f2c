import type { Context } from "hono";
import { encodeEvent, streamFormatOf, type ExecutionEvent, type StreamFormat } from "#contract/events.ts";
import { runExecution, streamExecution, type ExecutionRequest } from "#manager/executions/run-execution.ts";
import type { Manager } from "#manager/manager.ts";
import { parseSessionRef } from "#manager/sessions/session-ref.ts";
import type { AppEnv } from "./app-env.ts";
import { readExecuteBody } from "./execute-body.ts";

/** `POST /session/{ref}/execute`: JSON, NDJSON or server-sent events, as `Accept` asks. */
export async function executeRoute(
  { fleet, sessions }: Manager,
  ref: string,
  c: Context<AppEnv>,
): Promise<Response> {
  const parsedRef = parseSessionRef(ref);
  const body = await readExecuteBody(c);
  const { signal } = c.req.raw;
  const { executor, session } = await sessions.findOrOpen(parsedRef, signal);
  const onLost = (reason: string) => fleet.markLost(executor.number, reason);
  const request: ExecutionRequest = { executor, body, signal, cutSignal: session.cutSignal, onLost };
  const format = streamFormatOf(c.req.header("accept"));
  if (format) {
    const events = session.stream(signal, () => streamExecution(request));
    return streamReply(await startedStream(events), format);
  }
  const reply = await session.enqueue(signal, () => runExecution(request));
  return c.body(reply, 200, { "content-type": "application/json" });
}

/** Waits for the first event, so that a refusal still becomes a status instead of a broken stream. */
async function startedStream(
  events: AsyncGenerator<ExecutionEvent>,
): Promise<AsyncGenerator<ExecutionEvent>> {
  const first = await events.next();
  return (async function* () {
    if (!first.done) yield first.value;
    yield* events;
  })();
}

function streamReply(events: AsyncGenerator<ExecutionEvent>, format: StreamFormat): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await events.next();
      if (next.done) controller.close();
      else controller.enqueue(encoder.encode(encodeEvent(next.value, format)));
    },
    async cancel() {
      await events.return(undefined);
    },
  });
  return new Response(body, {
    headers: { "content-type": format, "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}
