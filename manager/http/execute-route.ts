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
  const { json: body, onDisconnect } = await readExecuteBody(c);
  const clientGone = c.req.raw.signal;
  const { executor, session } = await sessions.findOrOpen(parsedRef, clientGone);
  const onLost = (reason: string) => fleet.markLost(executor.number, reason);
  // A run that goes on without its client keeps its place, and with it the session.
  const signal = onDisconnect === "interrupt" ? clientGone : new AbortController().signal;
  const request: ExecutionRequest = { executor, body, signal, cutSignal: session.cutSignal, onLost };
  const format = streamFormatOf(c.req.header("accept"));
  if (format) {
    const events = session.stream(signal, () => streamExecution(request));
    return await eventStreamReply(events, format, onDisconnect);
  }
  const reply = await session.enqueue(signal, () => runExecution(request));
  return c.body(reply, 200, { "content-type": "application/json" });
}
