import { createMessage } from "@jupyterlab/services/lib/kernel/messages.js";
import type { KernelMessage } from "@jupyterlab/services";
import { describe, expect, test } from "vitest";
import { decodeMessage, encodeMessage, WireError } from "#executor/kernel/wire-protocol.ts";

const KEY = "a key";
const message = createMessage<KernelMessage.IStreamMsg>({
  msgType: "stream",
  channel: "iopub",
  session: "s",
  content: { name: "stdout", text: "é 日本 \u0000" },
});

describe("the wire protocol", () => {
  test("a message comes back as it was sent, whatever routing prefix stands before it", () => {
    const frames = [Buffer.from("a prefix"), ...encodeMessage(message, KEY)];
    expect(decodeMessage(frames, KEY, "iopub")).toEqual({ ...message, buffers: [] });
  });

  test("binary buffers follow the message", () => {
    const withBuffers = { ...message, buffers: [new Uint8Array([1, 2, 3])] };
    const [buffer] = decodeMessage(encodeMessage(withBuffers, KEY), KEY, "iopub").buffers ?? [];
    expect(buffer?.byteLength).toBe(3);
  });

  test("a message that was signed with another key is refused", () => {
    expect(() => decodeMessage(encodeMessage(message, "another key"), KEY, "iopub")).toThrow(WireError);
  });

  test("a message that was changed on its way is refused", () => {
    const frames = encodeMessage(message, KEY);
    frames[frames.length - 1] = Buffer.from(`{"name":"stdout","text":"forged"}`);
    expect(() => decodeMessage(frames, KEY, "iopub")).toThrow(/wrong signature/);
  });

  test.each([
    ["no frames", []],
    ["no delimiter", [Buffer.from("x"), Buffer.from("y")]],
    ["too few frames", encodeMessage(message, KEY).slice(0, 4)],
  ])("%s is refused", (_, frames) => {
    expect(() => decodeMessage(frames, KEY, "iopub")).toThrow(/too few frames/);
  });

  test("a header without its fields is refused", () => {
    const headless: unknown = { ...message, header: { msg_id: "1" } };
    // The encoder does not look at the message: only the decoder is to be trusted with it.
    const frames = encodeMessage(Object.assign(structuredClone(message), headless), KEY);
    expect(() => decodeMessage(frames, KEY, "iopub")).toThrow(/malformed header/);
  });
});
