import type { Dispatcher } from "undici";
import type { z } from "zod";
import { wasNeverSent } from "#contract/connection-errors.ts";
import { ERRORS, ServiceError, errorText } from "#contract/errors.ts";
import { decodeNdjson, NDJSON, type ExecutionEvent } from "#contract/events.ts";
import {
  foreignExecuteReplySchema,
  outcomeSchema,
  type ExecuteReply,
  type ExecutionEnd,
  type Outcome,
} from "#contract/execution.ts";
import { BOOT_ID_HEADER } from "#contract/executor-api.ts";
import { parseJson } from "#contract/json.ts";
import { outputSchema, systemError } from "#contract/outputs.ts";
import { isConnectionLoss, MAX_REPLY_BYTES, readText } from "#manager/fleet/executor-client.ts";
import type { Loss } from "#manager/fleet/backend.ts";
import type { Executor } from "#manager/fleet/executor.ts";
import { ExecutorLost } from "#manager/fleet/executor-state.ts";
import type { Execution } from "./execution.ts";

/** One run of code on an executor. `body` is the JSON text of an execute request that has been validated. */
export interface ExecutionRequest {
  execution: Execution;
  executor: Executor;
  body: string;
  /** Aborted when the client goes away and the run is to end with it. */
  signal: AbortSignal;
  /** Aborted when the session has ended and its executor is needed for the next one. */
  cutSignal: AbortSignal;
  /** Aborted when the manager stops and waits for the run no longer; and what becomes of the run then. */
  ending: AbortSignal;
  afterEnding: "ends" | "is_interrupted" | "goes_on";
  /** Told when the connection broke under the run: most likely the executor has ended. Finds out how. */
  onLost: (reason: string) => Promise<Loss>;
}

/**
 * Runs code and resolves to the JSON text of the executor's reply, unchanged. An executor that goes away under the
 * run makes the outcome `executor_lost`; nothing is ever run twice.
 *
 * @throws {ServiceError} `executor_unavailable` when nothing ran, `executor_bad_reply`, or the executor's own refusal
 */
export async function runExecution(request: ExecutionRequest): Promise<string> {
  const startedAt = performance.now();
  try {
    const reply = await send(request, "application/json");
    const text = await readText(reply.body);
    request.execution.change({ name: "ended", outcome: outcomeOf(readReply(text)) });
    return text;
  } catch (error) {
    const { output, end } = await lostEnding(request, error, startedAt);
    return JSON.stringify({ outputs: [output], ...end } satisfies ExecuteReply);
  }
}

/** As {@link runExecution}, as a stream of events. The last one is the outcome, whatever happened. */
export async function* streamExecution(request: ExecutionRequest): AsyncGenerator<ExecutionEvent> {
  const startedAt = performance.now();
  let seq = 0;
  try {
    const reply = await send(request, NDJSON);
    if (!String(reply.headers["content-type"]).includes(NDJSON)) {
      const whole = readReply(await readText(reply.body));
      request.execution.change({ name: "ended", outcome: outcomeOf(whole) });
      yield* eventsOfReply(whole, startedAt);
      return;
    }
    for await (const event of decodeNdjson(reply.body, MAX_REPLY_BYTES)) {
      if (event.type === "outcome") request.execution.change({ name: "ended", outcome: event.outcome });
      yield event;
      if (event.type === "outcome") return;
      if (event.type !== "keep_alive") seq = event.seq + 1;
    }
    throw new Error("its event stream ended without an outcome");
  } catch (error) {
    const { output, end } = await lostEnding(request, error, startedAt);
    yield { seq, type: "output", output };
    yield { seq: seq + 1, type: "outcome", ...end };
  }
}

async function send(
  { executor, body, signal, cutSignal, ending, onLost }: ExecutionRequest,
  accept: string,
): Promise<Dispatcher.ResponseData> {
  if (ending.aborted) throw new ServiceError("shutting_down", "The manager stops", { cause: ending.reason });
  // The executor may have been lost while the run waited for its turn.
  if (executor.lostSignal.aborted) throw unavailable(executor, executor.lostSignal.reason);
  const reply = await executor.client.request({
    method: "POST",
    path: "/execute",
    headers: {
      "content-type": "application/json",
      accept,
      ...(executor.bootId === undefined ? {} : { [BOOT_ID_HEADER]: executor.bootId }),
    },
    body,
    signal: AbortSignal.any([signal, cutSignal, ending, executor.lostSignal]),
  });
  if (reply.statusCode === 200) return reply;
  if (reply.statusCode === ERRORS.executor_restarted.status) {
    await reply.body.dump();
    const { reason } = await onLost("the executor was started anew");
    throw unavailable(executor, new Error(reason));
  }
  const detail = `POST /execute answered ${reply.statusCode}: ${(await readText(reply.body)).slice(0, 500)}`;
  throw new ServiceError(reply.statusCode === 503 ? "executor_unavailable" : "executor_bad_reply", detail);
}

type Reply = z.infer<typeof foreignExecuteReplySchema>;

function readReply(text: string): Reply {
  const reply = foreignExecuteReplySchema.safeParse(parseJson(text));
  if (reply.success) return reply.data;
  const detail = `POST /execute answered with ${JSON.stringify(text.slice(0, 200))}`;
  throw new ServiceError("executor_bad_reply", detail, { cause: reply.error });
}

/** The events of an executor that knows no streaming. Output types that the contract does not know are left out. */
function* eventsOfReply(reply: Reply, startedAt: number): Generator<ExecutionEvent> {
  let seq = 0;
  for (const candidate of reply.outputs) {
    const output = outputSchema.safeParse(candidate).data;
    if (output) yield { seq: seq++, type: "output", output };
  }
  yield { seq, type: "outcome", ...endOf(outcomeOf(reply), startedAt) };
}

/** The outcome that a reply tells; one of another maker's executor may tell it by its outputs alone. */
function outcomeOf({ outcome, outputs }: Reply): Outcome {
  const told = outcomeSchema.safeParse(outcome);
  if (told.success) return told.data;
  return outputs.some(({ type }) => type === "error") ? "error" : "ok";
}

/** The events of a run that waited for its turn and was refused then; nothing of it ran. */
export function* refusedEvents(error: ServiceError): Generator<ExecutionEvent> {
  const outcome = error.code === "session_ended" ? "restarted" : "executor_lost";
  yield { seq: 0, type: "output", output: systemError("NotRun", `The code did not run: ${error.message}`) };
  yield { seq: 1, type: "outcome", ...endOf(outcome, performance.now()) };
}

function endOf(outcome: Outcome, startedAt: number): ExecutionEnd {
  return {
    outcome,
    execution_count: null,
    duration_ms: Math.round(performance.now() - startedAt),
    kernel: { id: "" },
  };
}

function unavailable(executor: Executor, cause: unknown): ServiceError {
  return new ServiceError("executor_unavailable", `Container ${executor.number} is not available`, { cause });
}

/** What a client is told of a run that the executor did not end itself. Rethrows what is no such ending. */
async function lostEnding(request: ExecutionRequest, error: unknown, startedAt: number) {
  const { execution, executor, signal, cutSignal, ending: managerEnds, afterEnding, onLost } = request;
  if (signal.aborted || error instanceof ServiceError) throw error;
  if (wasNeverSent(error)) throw unavailable(executor, error);
  const ending = (outcome: Outcome, name: string, text: string) => {
    execution.change({ name: "ended", outcome });
    return { output: systemError(name, text), end: endOf(outcome, startedAt) };
  };
  if (cutSignal.aborted && !executor.lostSignal.aborted) {
    return ending("restarted", "KernelRestarted", `The run was ended: ${errorText(cutSignal.reason)}`);
  }
  if (managerEnds.aborted && !executor.lostSignal.aborted) {
    const [outcome, name, text] = ENDINGS[afterEnding];
    return ending(outcome, name, text);
  }
  const cause: unknown = executor.lostSignal.aborted ? executor.lostSignal.reason : error;
  const loss = isConnectionLoss(cause)
    ? await onLost(`its connection broke under a run: ${errorText(cause)}`)
    : lossOf(cause);
  return ending(
    loss.outOfMemory ? "oom_killed" : "executor_lost",
    "ExecutorLost",
    `The executor was lost: ${loss.reason}`,
  );
}

/** What a client is told of a run that the manager's stop overtakes: outcome, name and text. */
const ENDINGS = {
  ends: ["executor_lost", "ExecutorLost", "The manager stops, and the executor with it"],
  is_interrupted: ["interrupted", "KeyboardInterrupt", "The manager stops"],
  goes_on: [
    "executor_lost",
    "ExecutorLost",
    "The manager stops. The code goes on in its detached session; how it ends is not told here",
  ],
} as const satisfies Record<ExecutionRequest["afterEnding"], readonly [Outcome, string, string]>;

function lossOf(cause: unknown): Loss {
  const reason = errorText(cause);
  return cause instanceof ExecutorLost && cause.outOfMemory ? { reason, outOfMemory: true } : { reason };
}
