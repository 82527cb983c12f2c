import { z } from "zod";
import { decodeNdjson, NDJSON, type ExecutionEvent } from "#contract/events.ts";
import { FleetError } from "./fleet-error.ts";
import type { ApiRequest, ManagerConnection } from "./manager-connection.ts";

/**
 * Sends a request to execute, once, and yields the events of the run as they come, the outcome last.
 *
 * @throws {FleetError}; or the signal's reason
 */
export async function* executionEvents(
  connection: ManagerConnection,
  asked: ApiRequest,
): AsyncGenerator<ExecutionEvent> {
  const request: ApiRequest = { ...asked, accept: NDJSON };
  const reply = await connection.open(request);
  try {
    for await (const event of decodeNdjson(reply.body)) {
      yield event;
      if (event.type === "outcome") return;
    }
  } catch (error) {
    if (!isMalformed(error)) throw connection.failure(request, error);
    const message = `POST ${request.path} sent what is no event`;
    throw new FleetError("bad_reply", message, { status: reply.statusCode, cause: error });
  }
  throw new FleetError(
    "connection_lost",
    `the event stream of POST ${request.path} ended without an outcome`,
  );
}

/** Whether an error says that a line was not an event, rather than that the connection broke. */
function isMalformed(error: unknown): boolean {
  return error instanceof SyntaxError || error instanceof z.ZodError;
}
