import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  applyEvent,
  decodeNdjson,
  encodeEvent,
  EVENT_STREAM,
  executionEventSchema,
  NDJSON,
  replyOf,
  streamFormatOf,
  type ExecutionEvent,
  type OutcomeEvent,
} from "#contract/events.ts";
import type { Output } from "#contract/outputs.ts";

const print = (seq: number, text: string, name: "stdout" | "stderr" = "stdout"): ExecutionEvent => ({
  seq,
  type: "output",
  output: { type: "stream", name, text },
});
const outcome: OutcomeEvent = {
  seq: 9,
  type: "outcome",
  outcome: "ok",
  execution_count: 1,
  duration_ms: 2,
  kernel: { id: "k" },
};

/** The bytes in chunks of the given sizes, over and over. */
async function* inChunks(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}
const decode = (text: string, sizes: readonly number[] = [1], maxEventLength?: number) =>
  Array.fromAsync(decodeNdjson(inChunks(new TextEncoder().encode(text), sizes), maxEventLength));

describe("NDJSON", () => {
  const events: fc.Arbitrary<ExecutionEvent> = fc.oneof(
    fc.record({ seq: fc.nat(), type: fc.constant("started" as const), kernel_id: fc.string() }),
    fc.tuple(fc.nat(), fc.string({ unit: "grapheme" })).map(([seq, text]) => print(seq, text)),
    fc.record({ seq: fc.nat(), type: fc.constant("keep_alive" as const) }),
    fc.record({
      seq: fc.nat(),
      type: fc.constant("update_display" as const),
      display_id: fc.string(),
      data: fc.dictionary(fc.string(), fc.jsonValue()),
    }),
  );

  test("what was encoded is decoded, however it is cut into chunks, in the middle of a character too", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(events, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        async (sent, sizes) => {
          const text = sent.map((event) => encodeEvent(event, NDJSON)).join("");
          // Through JSON, which knows neither -0 nor a key that is `__proto__`.
          const expected = sent.map((event) => executionEventSchema.parse(JSON.parse(JSON.stringify(event))));
          expect(await decode(text, sizes)).toEqual(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("a character of four bytes that comes in two chunks stays whole", async () => {
    const text = encodeEvent(print(0, "🦆"), NDJSON);
    const duckAt = new TextEncoder().encode(text.slice(0, text.indexOf("🦆"))).length;
    expect(await decode(text, [duckAt + 2, 1000])).toEqual([print(0, "🦆")]);
  });

  test("empty lines are passed over, and the last line needs no end", async () => {
    const line = encodeEvent(outcome, NDJSON).trimEnd();
    expect(await decode(`\n${line}\n\n${line}`)).toEqual([outcome, outcome]);
  });

  test.each([
    ["nonsense", "is not valid JSON"],
    ['{"seq":0}', "Invalid discriminator value"],
    ['{"seq":0,"type":"new"}', "Invalid discriminator value"],
    ['{"seq":-1,"type":"keep_alive"}', "expected number to be >=0"],
  ])("a line that is no event is an error: %s", async (line, message) => {
    await expect(decode(`${line}\n`)).rejects.toThrow(message);
  });

  test("an event that is too long is not read to its end", async () => {
    let read = 0;
    const endless = (async function* () {
      for (;;) {
        read += 1;
        yield new Uint8Array(10);
      }
    })();
    await expect(Array.fromAsync(decodeNdjson(endless, 100))).rejects.toThrow("an event is too long");
    expect(read).toBe(11);
  });
});

describe("server-sent events", () => {
  test("carry the number as id, the type as event and the same JSON as NDJSON", () => {
    const event = print(3, "two\nlines");
    expect(encodeEvent(event, EVENT_STREAM)).toBe(`id: 3\nevent: output\ndata: ${JSON.stringify(event)}\n\n`);
  });

  test("never hold a line end in their data, whatever the output", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const lines = encodeEvent(print(0, text), EVENT_STREAM).split(/\r\n|\r|\n/);
        expect(lines).toHaveLength(5);
      }),
    );
  });

  test("keep-alives are comments, which clients pass over and do not number", () => {
    expect(encodeEvent({ seq: 3, type: "keep_alive" }, EVENT_STREAM)).toBe(": keep-alive\n\n");
  });
});

test.each([
  [undefined, undefined],
  ["*/*", undefined],
  ["application/json", undefined],
  ["application/x-ndjson", NDJSON],
  ["application/x-ndjson, application/json;q=0.5", NDJSON],
  ["text/event-stream", EVENT_STREAM],
])("Accept %j asks for %j", (accept, format) => {
  expect(streamFormatOf(accept)).toBe(format);
});

describe("folding events into outputs", () => {
  const fold = (...events: ExecutionEvent[]) => {
    const outputs: Output[] = [];
    for (const event of events) applyEvent(outputs, event);
    return outputs;
  };
  const display = (seq: number, text: string, id?: string): ExecutionEvent => ({
    seq,
    type: "output",
    output: { type: "display", data: { "text/plain": text }, ...(id ? { display_id: id } : {}) },
  });

  test("neighbouring chunks of one stream become one output; another stream between them parts them", () => {
    expect(fold(print(0, "a"), print(1, "b"), print(2, "!", "stderr"), print(3, "c"))).toEqual([
      { type: "stream", name: "stdout", text: "ab" },
      { type: "stream", name: "stderr", text: "!" },
      { type: "stream", name: "stdout", text: "c" },
    ]);
  });

  test("an update replaces every display of that id, in its place, and no other", () => {
    const update: ExecutionEvent = {
      seq: 4,
      type: "update_display",
      display_id: "d",
      data: { "text/plain": "new" },
      metadata: { own: true },
    };
    const outputs = fold(
      display(0, "a", "d"),
      display(1, "b"),
      display(2, "c", "e"),
      display(3, "d", "d"),
      update,
    );
    const texts = outputs.map((output) =>
      output.type === "display" ? output.data["text/plain"] : undefined,
    );
    expect(texts).toEqual(["new", "b", "c", "new"]);
    expect(outputs[0]).toMatchObject({ display_id: "d", metadata: { own: true } });
  });

  test("clear_output forgets what came before", () => {
    expect(fold(print(0, "old"), { seq: 1, type: "clear_output" }, print(2, "new"))).toEqual([
      { type: "stream", name: "stdout", text: "new" },
    ]);
  });

  test("events that are no output change nothing", () => {
    const none = fold({ seq: 0, type: "started", kernel_id: "k" }, { seq: 0, type: "keep_alive" }, outcome);
    expect(none).toEqual([]);
  });

  test("the events themselves stay as they were", () => {
    const first = print(0, "a");
    fold(first, print(1, "b"));
    expect(first).toEqual(print(0, "a"));
  });

  test("the reply says what the outcome says, and its outputs come first", () => {
    expect(JSON.stringify(replyOf([], { ...outcome, truncated: true }))).toBe(
      '{"outputs":[],"outcome":"ok","execution_count":1,"duration_ms":2,"kernel":{"id":"k"},"truncated":true}',
    );
  });
});
