import { ServiceError } from "#contract/errors.ts";
import { encodeEvent, type ExecutionEvent, type StreamFormat } from "#contract/events.ts";
import type { OnDisconnect } from "#contract/execution.ts";
import { refusedEvents } from "#manager/executions/run-execution.ts";

/** Longer than executors of ours are silent: theirs come first. Built-in clients give up after minutes of silence. */
const KEEP_ALIVE_MS = 10_000;

/**
 * The reply that streams the events of a run. It begins with the first event, so that a refusal still becomes a status;
 * but it begins without one when that is long in coming, because the run waits for its turn. Silence is filled with
 * keep-alive events. What a run that goes on without its client has to tell is read and forgotten.
 */
export async function eventStreamReply(
  events: AsyncGenerator<ExecutionEvent>,
  format: StreamFormat,
  onDisconnect: OnDisconnect,
): Promise<Response> {
  const encoder = new TextEncoder();
  let lastSeq = 0;
  let next = events.next();
  await untilSettled(next);
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const send = (event: ExecutionEvent) => {
        lastSeq = event.seq;
        controller.enqueue(encoder.encode(encodeEvent(event, format)));
      };
      try {
        const result = await untilSettled(next);
        if (result === undefined) return send({ type: "keep_alive", seq: lastSeq });
        if (result.done) return controller.close();
        send(result.value);
        next = events.next();
      } catch (error) {
        // What waited for its turn was refused then: too late for a status, so it becomes the outcome.
        if (!(error instanceof ServiceError)) throw error;
        for (const event of refusedEvents(error)) send(event);
        controller.close();
      }
    },
    async cancel() {
      if (onDisconnect === "interrupt") await events.return(undefined);
      else await drain(events);
    },
  });
  return new Response(body, {
    headers: { "content-type": format, "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

/** Reads to the end; whatever that is, nobody is left to be told. */
async function drain(events: AsyncGenerator<ExecutionEvent>): Promise<void> {
  try {
    while (!(await events.next()).done);
  } catch {
    // It has ended all the same.
  }
}

/** What the promise settles to, or undefined when it has not for {@link KEEP_ALIVE_MS}. */
async function untilSettled<T>(promise: Promise<T>): Promise<T | undefined> {
  const silence = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => silence.resolve(undefined), KEEP_ALIVE_MS);
  try {
    return await Promise.race([promise, silence.promise]);
  } finally {
    clearTimeout(timer);
  }
}
