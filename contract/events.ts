import { z } from "zod";
import { executionEndSchema, type ExecuteReply } from "./execution.ts";
import { mimeBundleSchema, outputSchema, type Output } from "./outputs.ts";

const seq = z.number().int().nonnegative();

/**
 * One event of an execution. `seq` counts from 0 without gaps; `keep_alive` carries the number of the last event and
 * counts nothing. The last event of every stream is `outcome`.
 */
export const executionEventSchema = z.discriminatedUnion("type", [
  z.object({ seq, type: z.literal("started"), kernel_id: z.string() }),
  z.object({ seq, type: z.literal("output"), output: outputSchema }),
  z.object({
    seq,
    type: z.literal("update_display"),
    display_id: z.string(),
    data: mimeBundleSchema,
    metadata: z.record(z.string(), z.unknown()).optional(),
  }),
  z.object({ seq, type: z.literal("clear_output") }),
  z.object({ seq, type: z.literal("keep_alive") }),
  z.object({ seq, type: z.literal("outcome"), ...executionEndSchema.shape }),
]);
export type ExecutionEvent = z.infer<typeof executionEventSchema>;
export type OutcomeEvent = Extract<ExecutionEvent, { type: "outcome" }>;

/** Media types of an event stream, as they are asked for in `Accept`. */
export const NDJSON = "application/x-ndjson";
export const EVENT_STREAM = "text/event-stream";
export type StreamFormat = typeof NDJSON | typeof EVENT_STREAM;

/** The stream format that an `Accept` header asks for, or undefined for a plain JSON reply. */
export function streamFormatOf(accept: string | undefined): StreamFormat | undefined {
  if (accept?.includes(NDJSON)) return NDJSON;
  if (accept?.includes(EVENT_STREAM)) return EVENT_STREAM;
  return undefined;
}

/** One event as a chunk of an event stream. Source of the second form: WHATWG HTML, "Server-sent events". */
export function encodeEvent(event: ExecutionEvent, format: StreamFormat): string {
  const json = JSON.stringify(event);
  if (format === NDJSON) return `${json}\n`;
  if (event.type === "keep_alive") return ": keep-alive\n\n";
  return `id: ${event.seq}\nevent: ${event.type}\ndata: ${json}\n\n`;
}

/**
 * Reads an NDJSON event stream. An event longer than `maxEventLength` characters is not read to its end.
 *
 * @throws {SyntaxError | z.ZodError | RangeError} when a line is not an event of this contract, or is too long.
 */
export async function* decodeNdjson(
  body: AsyncIterable<Uint8Array>,
  maxEventLength = Number.POSITIVE_INFINITY,
): AsyncGenerator<ExecutionEvent> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of body) {
    // Line ends are looked for in what is new: an event may come in thousands of chunks.
    const [first = "", ...others] = decoder.decode(chunk, { stream: true }).split("\n");
    const lines = [pending + first, ...others];
    pending = lines.pop() ?? "";
    if (pending.length > maxEventLength) throw new RangeError("an event is too long");
    for (const line of lines) if (line !== "") yield executionEventSchema.parse(JSON.parse(line));
  }
  pending += decoder.decode();
  if (pending.trim() !== "") yield executionEventSchema.parse(JSON.parse(pending));
}

/**
 * Folds one event into the outputs so far, in place: neighbouring chunks of one stream become one output, display
 * updates replace what they update.
 */
export function applyEvent(outputs: Output[], event: ExecutionEvent): void {
  switch (event.type) {
    case "output":
      return appendOutput(outputs, event.output);
    case "update_display":
      for (const output of outputs) {
        if (output.type !== "display" || output.display_id !== event.display_id) continue;
        output.data = event.data;
        if (event.metadata) output.metadata = event.metadata;
      }
      return;
    case "clear_output":
      outputs.length = 0;
      return;
    case "started":
    case "keep_alive":
    case "outcome":
      return;
  }
}

function appendOutput(outputs: Output[], output: Output): void {
  const last = outputs.at(-1);
  if (output.type === "stream" && last?.type === "stream" && last.name === output.name)
    last.text += output.text;
  else outputs.push({ ...output });
}

/** The plain reply that says the same as the event stream that ended in `end`. */
export function replyOf(outputs: Output[], end: OutcomeEvent): ExecuteReply {
  const { seq: _seq, type: _type, ...rest } = end;
  return { outputs, ...rest };
}
