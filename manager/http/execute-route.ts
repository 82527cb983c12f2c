import type { Context } from "hono";
import { streamFormatOf } from "#contract/events.ts";
import { runExecution, streamExecution, type ExecutionRequest } from "#manager/executions/run-execution.ts";
import type { Manager } from "#manager/manager.ts";
import { parseSessionRef } from "#manager/sessions/session-ref.ts";
import type { AppEnv } from "./app-env.ts";
import { eventStreamReply } from "./event-stream.ts";
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
    return await eventStreamReply(events, format);
  }
  const reply = await session.enqueue(signal, () => runExecution(request));
  return c.body(reply, 200, { "content-type": "application/json" });
}
