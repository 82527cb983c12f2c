import type { Context } from "hono";
import { streamFormatOf } from "#contract/events.ts";
import { runExecution, streamExecution, type ExecutionRequest } from "#manager/executions/run-execution.ts";
import type { Execution } from "#manager/executions/execution.ts";
import { markBrokenOff } from "#manager/fleet/broken-off.ts";
import type { OnDisconnect } from "#contract/execution.ts";
import type { Manager } from "#manager/manager.ts";
import type { Session } from "#manager/sessions/session.ts";
import type { AppEnv } from "./app-env.ts";
import { eventStreamReply } from "./event-stream.ts";
import { readExecuteBody } from "./execute-body.ts";
import { readAutoCreate } from "./auto-create.ts";

/** `POST /session/{ref}/execute`: JSON, NDJSON or server-sent events, as `Accept` asks. */
export async function executeRoute(
  { fleet, backend, resolver, ending }: Manager,
  ref: string,
  c: Context<AppEnv>,
): Promise<Response> {
  const { json: body, onDisconnect } = await readExecuteBody(c);
  const clientGone = c.req.raw.signal;
  const autoCreate = readAutoCreate(c);
  const { executor, session } = await resolver.findOrOpen(ref, { signal: clientGone, autoCreate });
  // A run that goes on without its client keeps its place, and with it the session.
  const signal = onDisconnect === "interrupt" ? clientGone : new AbortController().signal;
  const requestOf = (execution: Execution): ExecutionRequest => ({
    execution,
    executor,
    body,
    signal,
    cutSignal: session.cutSignal,
    ending,
    afterEnding: afterEnding(session, onDisconnect),
    onLost: (reason) => markBrokenOff({ fleet, backend }, executor, reason),
  });
  const format = streamFormatOf(c.req.header("accept"));
  if (format) {
    const events = session.stream(signal, (execution) => streamExecution(requestOf(execution)));
    return await eventStreamReply(events, format, onDisconnect);
  }
  const reply = await session.enqueue(signal, (execution) => runExecution(requestOf(execution)));
  return c.body(reply, 200, { "content-type": "application/json" });
}

/** An executor that loses the manager does with a run what its client asked for, if it is kept at all. */
function afterEnding({ terms }: Session, onDisconnect: OnDisconnect): ExecutionRequest["afterEnding"] {
  if (!terms.detached) return "ends";
  return onDisconnect === "interrupt" ? "is_interrupted" : "goes_on";
}
