import { errorText } from "#contract/errors.ts";
import { decodeNdjson, NDJSON, type ExecutionEvent } from "#contract/events.ts";
import { executeReplySchema, type Outcome } from "#contract/execution.ts";
import type { Output } from "#contract/outputs.ts";
import { errorOfReply, type FleetError } from "#client/fleet-error.ts";
import { Violation } from "./journal.ts";

/** What became of an execution as its client sees it. */
export type Run =
  | { kind: "ended"; outcome: Outcome; text: string; restarted: boolean; errors: string }
  | { kind: "refused"; error: FleetError }
  | { kind: "broken"; reason: string };

export interface RunOptions {
  url: string;
  session: string;
  code: string;
  as: "json" | "stream";
  signal: AbortSignal;
  /** Told when the first output comes. */
  onOutput?: () => void;
}

/**
 * Executes a cell and reads all that the manager says to it, to the last byte.
 *
 * @throws {Violation} when that is not exactly one outcome, at the end; or the signal's reason
 */
export async function runCell({ url, session, code, as, signal, onOutput }: RunOptions): Promise<Run> {
  try {
    const reply = await fetch(`${url}/session/${session}/execute`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: as === "json" ? "application/json" : NDJSON },
      body: JSON.stringify({ code }),
      signal,
    });
    if (reply.status !== 200 || !reply.body) {
      const facts = { status: reply.status, text: await reply.text(), retryAfter: undefined };
      return { kind: "refused", error: errorOfReply("execute", facts) };
    }
    if (as === "stream") return await readStream(decodeNdjson(reply.body), onOutput);
    const { outputs, outcome, kernel } = executeReplySchema.parse(JSON.parse(await reply.text()));
    return ended(outputs, outcome, kernel.restarted);
  } catch (error) {
    signal.throwIfAborted();
    // As fetch tells a connection that cannot be made or that breaks.
    if (!(error instanceof TypeError)) throw error;
    return { kind: "broken", reason: errorText(error.cause ?? error) };
  }
}

async function readStream(events: AsyncIterable<ExecutionEvent>, onOutput?: () => void): Promise<Run> {
  const outputs: Output[] = [];
  let run: Run | undefined;
  for await (const event of events) {
    if (run) throw new Violation(`after the outcome came ${JSON.stringify(event)}`);
    if (event.type === "output") {
      outputs.push(event.output);
      onOutput?.();
    }
    if (event.type === "outcome") run = ended(outputs, event.outcome, event.kernel.restarted);
  }
  if (!run) throw new Violation("an execution whose connection lived ended without an outcome");
  return run;
}

function ended(outputs: readonly Output[], outcome: Outcome, restarted = false): Run {
  const text = outputs.map((output) => (output.type === "stream" ? output.text : "")).join("");
  const errors = outputs.flatMap((output) =>
    output.type === "error" ? [`${output.name}: ${output.value}`] : [],
  );
  return { kind: "ended", outcome, text, restarted, errors: errors.join("; ") };
}
