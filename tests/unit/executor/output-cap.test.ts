import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { applyEvent } from "#contract/events.ts";
import type { Output } from "#contract/outputs.ts";
import { OutputCap, type OutputEvent } from "#executor/output-cap.ts";

const MAX_BYTES = 8000;
const print = (text: string): OutputEvent => ({
  type: "output",
  output: { type: "stream", name: "stdout", text },
});
const display = (text: string, display_id?: string): OutputEvent => ({
  type: "output",
  output: {
    type: "display",
    data: { "text/plain": text },
    ...(display_id === undefined ? {} : { display_id }),
  },
});

/** Runs events through a cap; `live` is what came out before the end. */
function through(events: readonly OutputEvent[]) {
  const outputs: Output[] = [];
  let seq = 0;
  let emitted = 0;
  const cap = new OutputCap(MAX_BYTES, (event) => {
    emitted += 1;
    applyEvent(outputs, { seq: seq++, ...event });
  });
  for (const event of events) cap.add(event);
  const live = outputs.length;
  return { ...cap.finish(), outputs, live, emitted };
}
const textOf = (outputs: readonly Output[], name = "stdout") =>
  outputs.map((output) => (output.type === "stream" && output.name === name ? output.text : "")).join("");

describe("the output cap", () => {
  test("lets everything below it through at once, unchanged", () => {
    const { outputs, truncated, live } = through([print("a"), display("b"), print("c")]);
    expect(truncated).toBe(false);
    expect(live).toBe(3);
    expect(outputs).toHaveLength(3);
  });

  test("lets everything up to it through", () => {
    const text = "x".repeat(300);
    const { outputs, truncated } = through(Array.from({ length: 19 }, () => print(text)));
    expect(truncated).toBe(false);
    expect(textOf(outputs)).toBe(text.repeat(19));
  });

  test("keeps head and tail of what is above it, with a marker between that tells how much is missing", () => {
    const lines = Array.from({ length: 5000 }, (_, i) => `${i}\n`);
    const { outputs, truncated } = through(lines.map(print));
    expect(truncated).toBe(true);
    expect(textOf(outputs)).toMatch(/^0\n1\n2\n/);
    expect(textOf(outputs)).toMatch(/\n4998\n4999\n$/);
    expect(textOf(outputs, "stderr")).toMatch(
      /^\n\[\d+ bytes of output left out here: .*MAX_OUTPUT_BYTES\]\n$/,
    );
  });

  test("cuts one giant text at both ends", () => {
    const { outputs, truncated } = through([print(`begin${"é".repeat(1_000_000)}end`)]);
    expect(truncated).toBe(true);
    expect(textOf(outputs)).toMatch(/^beginé+end$/);
  });

  test("keeps the beginning of a giant result, and of a giant error its name", () => {
    const big = "x".repeat(100_000);
    const result = through([
      { type: "output", output: { type: "result", data: { "text/plain": big, "text/html": big } } },
    ]);
    expect(result.outputs.at(-1)).toMatchObject({
      type: "result",
      data: { "text/plain": expect.stringMatching(/^x+$/) },
    });
    const error = through([
      { type: "output", output: { type: "error", name: "E", value: big, traceback: [big, big] } },
    ]);
    expect(error.outputs.at(-1)).toMatchObject({
      type: "error",
      name: "E",
      value: expect.stringMatching(/^x+$/),
    });
  });

  const big = "x".repeat(100_000);
  test.each<[string, Output]>([
    ["metadata", { type: "display", data: { "text/plain": "" }, metadata: { big } }],
    [
      "nested brackets",
      { type: "display", data: { "application/json": Array.from({ length: 20_000 }, () => [[]]) } },
    ],
    ["a display id", { type: "display", data: { "text/plain": "" }, display_id: big }],
    ["the name of an error", { type: "error", name: big, value: "", traceback: [] }],
    ["escapes", { type: "result", data: { "text/plain": "\u0001".repeat(100_000) } }],
  ])("counts %s, too", (_, output) => {
    const { outputs, truncated } = through(Array.from({ length: 5 }, () => ({ type: "output", output })));
    expect(truncated).toBe(true);
    expect(JSON.stringify(outputs).length).toBeLessThan(2 * MAX_BYTES);
  });

  test("is not reached by a display that is updated for ever: its last state is there", () => {
    const updates = Array.from({ length: 1000 }, (_, i): OutputEvent => ({
      type: "update_display",
      display_id: "bar",
      data: { "text/plain": `${i} %` },
    }));
    const { outputs, truncated } = through([display("0 %", "bar"), ...updates]);
    expect(truncated).toBe(false);
    expect(outputs).toEqual([{ type: "display", data: { "text/plain": "999 %" }, display_id: "bar" }]);
  });

  test("is not reached by output that is cleared again and again: the last is there", () => {
    const frames = Array.from({ length: 1000 }, (_, i): OutputEvent[] => [
      { type: "clear_output" },
      print(`${i}`),
    ]);
    const { outputs, truncated } = through(frames.flat());
    expect(truncated).toBe(false);
    expect(textOf(outputs)).toBe("999");
  });

  test("bounds whatever comes, in bytes and in number, and never breaks a character", () => {
    // The replacement character is what a broken one would show as.
    const text = fc
      .string({ unit: "grapheme", maxLength: 3000 })
      .map((graphemes) => graphemes.replaceAll("\uFFFD", ""));
    const event = fc.oneof(
      text.map(print),
      text.map((shown) => display(shown)),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 200 }), (events) => {
        const { outputs, truncated, emitted } = through(events);
        const bytes = Buffer.byteLength(JSON.stringify(outputs.map((output) => Object.values(output))));
        const markerAndQuotes = 200 + outputs.length * 60;
        expect(Buffer.byteLength(textOf(outputs))).toBeLessThanOrEqual(MAX_BYTES);
        expect(bytes).toBeLessThanOrEqual(6 * MAX_BYTES + markerAndQuotes);
        expect(emitted).toBeLessThanOrEqual(MAX_BYTES / 100 + 2);
        expect(textOf(outputs)).not.toContain("\uFFFD");
        expect(truncated || emitted === events.length).toBe(true);
      }),
    );
  });
});
