import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ExecutorProcess } from "#tests/support/executor-process.ts";

let executor: ExecutorProcess;

beforeAll(async () => {
  executor = await ExecutorProcess.start({ EXECUTION_TIMEOUT: "3" });
});
afterAll(() => executor[Symbol.asyncDispose]());

describe("the transcripts of the executor contract", () => {
  test.each([
    ["x = 42", "[]"],
    ["", "[]"],
    ["print(x)", `[{"type":"stream","name":"stdout","text":"42\\n"}]`],
    ["x+1", `[{"type":"result","data":{"text/plain":"43"}}]`],
  ])("%s gives exactly its outputs, as compact JSON", async (code, outputs) => {
    await executor.execute("x = 42");
    const reply = await (await executor.post(code)).text();
    expect(reply.startsWith(`{"outputs":${outputs},"outcome":"ok","execution_count":`)).toBe(true);
  });

  test("a NameError has a traceback of three entries, without colours and without dashes", async () => {
    const { outputs, outcome, execution_count: count } = await executor.execute("nprint(x)");
    expect(outcome).toBe("error");
    expect(outputs).toEqual([
      {
        type: "error",
        name: "NameError",
        value: "name 'nprint' is not defined",
        traceback: [
          `NameError${" ".repeat(33)}Traceback (most recent call last)`,
          `Cell In[${count}], line 1\n----> 1 nprint(x)\n`,
          "NameError: name 'nprint' is not defined",
        ],
      },
    ]);
  });

  test("a SyntaxError has a traceback of one entry", async () => {
    const { outputs, outcome } = await executor.execute("def (");
    expect(outcome).toBe("error");
    expect(outputs).toMatchObject([{ type: "error", name: "SyntaxError", traceback: [expect.any(String)] }]);
  });

  test("five seconds of sleep under a limit of three end as TimeoutError after KeyboardInterrupt, variables kept", async () => {
    await executor.execute("kept = 1");
    const reply = await executor.execute("import time; time.sleep(5)");
    expect(reply.outputs).toEqual([
      expect.objectContaining({ type: "error", name: "KeyboardInterrupt" }),
      { type: "error", name: "TimeoutError", value: "Execution timed out after 3 seconds", traceback: [] },
    ]);
    expect(reply).toMatchObject({ outcome: "timed_out", timed_out: true });
    expect(reply.hint).toMatch(/kept its variables.*EXECUTION_TIMEOUT/);
    expect(await executor.printed("print(kept)")).toBe("1\n");
  });

  test("input() is an error, not a wait", async () => {
    const { outputs, outcome, duration_ms } = await executor.execute(`input("?")`);
    expect(outcome).toBe("error");
    expect(outputs).toMatchObject([{ type: "error", name: "StdinNotImplementedError" }]);
    expect(duration_ms).toBeLessThan(2900);
  });

  test("os._exit ends the run as KernelDied at once; the next run has a fresh kernel and says so", async () => {
    await executor.execute("gone = 1");
    const died = await executor.execute("import os; os._exit(1)");
    expect(died.outcome).toBe("kernel_died");
    expect(died.outputs).toEqual([
      { type: "error", name: "KernelDied", value: "The kernel died: exit code 1", traceback: [] },
    ]);
    expect(died.duration_ms).toBeLessThan(2900);
    const next = await executor.execute("gone");
    expect(next.outputs).toMatchObject([{ name: "NameError" }]);
    expect(next.kernel.restarted).toBe(true);
    expect(next.kernel.id).not.toBe(died.kernel.id);
    expect((await executor.execute("1")).kernel).toEqual({ id: next.kernel.id });
  });

  test("exit() ends the kernel, and the run says so", async () => {
    expect(await executor.execute("exit()")).toMatchObject({
      outcome: "kernel_died",
      outputs: [{ name: "KernelDied", value: "The kernel died: exit code 0" }],
    });
    expect((await executor.execute("1")).outcome).toBe("ok");
  });

  test("displays keep their data, an update changes what it updates, a cleared output is gone", async () => {
    const code = `
from IPython.display import clear_output, display
print("cleared")
clear_output()
handle = display({"a": 1}, display_id="d")
handle.update({"a": 2})
print("end")`;
    expect((await executor.execute(code)).outputs).toEqual([
      { type: "display", data: { "text/plain": "{'a': 2}" }, display_id: "d" },
      { type: "stream", name: "stdout", text: "end\n" },
    ]);
  });

  test("a result of rich representation keeps all of them", async () => {
    const { outputs } = await executor.execute(`from IPython.display import HTML; HTML("<b>x</b>")`);
    expect(outputs).toEqual([
      {
        type: "result",
        data: { "text/plain": "<IPython.core.display.HTML object>", "text/html": "<b>x</b>" },
      },
    ]);
  });

  test("a help text is a display", async () => {
    expect((await executor.execute("print?")).outputs).toMatchObject([
      { type: "display", data: { "text/plain": expect.stringContaining("Prints the values") } },
    ]);
  });

  test("top-level await works", async () => {
    expect((await executor.execute("import asyncio\nawait asyncio.sleep(0.01, 5)")).outputs).toMatchObject([
      { type: "result", data: { "text/plain": "5" } },
    ]);
  });

  test("a silent run counts nothing and leaves no result behind", async () => {
    const before = await executor.execute("1");
    expect(await executor.execute("2", { silent: true })).toMatchObject({
      outputs: [],
      execution_count: null,
    });
    expect((await executor.execute("3")).execution_count).toBe((before.execution_count ?? 0) + 1);
  });
});
