import type { KernelMessage } from "@jupyterlab/services";
import { createMessage } from "@jupyterlab/services/lib/kernel/messages.js";
import { describe, expect, test } from "vitest";
import { errorOutput, kernelOutputOf } from "#executor/kernel/kernel-outputs.ts";

const session = "s";
const channel = "iopub";

describe("what a kernel sends, as outputs", () => {
  test("a result always has a plain text, and metadata only where there is some", () => {
    const message = createMessage<KernelMessage.IExecuteResultMsg>({
      msgType: "execute_result",
      channel,
      session,
      content: { execution_count: 1, data: { "text/html": "<b>" }, metadata: {} },
    });
    expect(kernelOutputOf(message)).toEqual({
      type: "output",
      output: { type: "result", data: { "text/plain": "", "text/html": "<b>" } },
    });
  });

  test("a display keeps its id, its images and its metadata", () => {
    const message = createMessage<KernelMessage.IDisplayDataMsg>({
      msgType: "display_data",
      channel,
      session,
      content: {
        data: { "image/png": "iVBOR" },
        metadata: { "image/png": { width: 3 } },
        transient: { display_id: "d" },
      },
    });
    expect(kernelOutputOf(message)).toEqual({
      type: "output",
      output: {
        type: "display",
        data: { "image/png": "iVBOR" },
        metadata: { "image/png": { width: 3 } },
        display_id: "d",
      },
    });
  });

  test("status messages put nothing out", () => {
    const message = createMessage<KernelMessage.IStatusMsg>({
      msgType: "status",
      channel,
      session,
      content: { execution_state: "busy" },
    });
    expect(kernelOutputOf(message)).toBeUndefined();
  });

  test("an error loses its colours and its line of dashes", () => {
    const traceback = ["\u001b[31m-----\u001b[39m", "\u001b[31mE\u001b[39m  Traceback", "E: no"];
    expect(errorOutput({ ename: "E", evalue: "no", traceback })).toEqual({
      type: "error",
      name: "E",
      value: "no",
      traceback: ["E  Traceback", "E: no"],
    });
  });
});
