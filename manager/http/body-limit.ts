import type { MiddlewareHandler } from "hono";
import { ServiceError } from "#contract/errors.ts";

/** How long the rest of a refused body is read, so that its sender comes to read the refusal. */
const DRAIN_BUDGET_MS = 30_000;

/**
 * Refuses a body that is larger than `maxBytes`. A body whose length is not told is read into memory up to there.
 *
 * The refusal goes out at once, but the response ends only when the client has sent everything or has gone: many
 * clients read nothing before that, and would see a broken connection instead of the reason.
 */
export function limitBody(maxBytes: number, drainBudgetMs = DRAIN_BUDGET_MS): MiddlewareHandler {
  return async (c, next) => {
    const { raw } = c.req;
    const chunked = raw.headers.has("transfer-encoding");
    if (!chunked && Number(raw.headers.get("content-length") ?? 0) <= maxBytes) return next();
    if (raw.body === null) return next();
    const reader = raw.body.getReader();
    const body = chunked ? await readUpTo(reader, maxBytes) : undefined;
    if (body === undefined) return refusal(reader, maxBytes, drainBudgetMs);
    c.req.raw = new Request(raw, { method: raw.method, body });
    return next();
  };
}

type BodyReader = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;

/** The whole body, or undefined as soon as it is larger. */
async function readUpTo(reader: BodyReader, maxBytes: number): Promise<Blob | undefined> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(chunks);
    size += value.byteLength;
    if (size > maxBytes) return undefined;
    chunks.push(value);
  }
}

function refusal(reader: BodyReader, maxBytes: number, drainBudgetMs: number): Response {
  const error = new ServiceError("body_too_large", `The body is larger than ${maxBytes} bytes`);
  const text = new TextEncoder().encode(JSON.stringify(error.toBody()));
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      controller.enqueue(text);
      await drain(reader, drainBudgetMs);
      controller.close();
    },
  });
  const headers = { "content-type": "application/json", "content-length": String(text.byteLength) };
  return new Response(body, { status: error.status, headers });
}

/** Reads and forgets, also from a client that stalls. One that goes away has nothing more to send. */
async function drain(reader: BodyReader, budgetMs: number): Promise<void> {
  // The read that waits is done then.
  const timer = setTimeout(() => void reader.cancel().catch(() => undefined), budgetMs);
  try {
    while (!(await reader.read()).done);
  } catch {
    // Nobody is left to be told.
  } finally {
    clearTimeout(timer);
  }
}
