import { expect, test } from "vitest";
import { executeReplySchema, type ExecuteReply } from "#contract/execution.ts";
import type { FleetUnderTest } from "./acceptance.ts";

/** What a TypeScript session promises, as a process and as a container. Executor 0 has to be of that type. */
export function describeTypeScript(fleet: () => FleetUnderTest): void {
  const run = async (code: string, timeout?: number): Promise<ExecuteReply> => {
    const reply = await fetch(`${fleet().url}/session/0/execute`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code, timeout }),
    });
    expect(reply.status).toBe(200);
    return executeReplySchema.parse(await reply.json());
  };

  test("a TypeScript session keeps its variables", async () => {
    expect(await run("const answer: number = 42; console.log(answer)")).toMatchObject({
      outcome: "ok",
      outputs: [{ type: "stream", name: "stdout", text: "42\n" }],
    });
    expect(await run("answer + 1")).toMatchObject({
      outcome: "ok",
      outputs: [{ type: "result", data: { "text/plain": expect.stringContaining("43") } }],
    });
  });

  test("errors of TypeScript code are outputs like Python's, without colours", async () => {
    const { outcome, outputs } = await run("throw new TypeError('not like this')");
    expect(outcome).toBe("error");
    expect(outputs).toEqual([
      { type: "error", name: "TypeError", value: "not like this", traceback: expect.any(Array) },
    ]);
    expect(JSON.stringify(outputs)).not.toContain("\\u001b");
    expect((await run("missing")).outputs).toMatchObject([{ type: "error", name: "ReferenceError" }]);
  });

  test("a TypeScript cell over its time limit ends, and the next one runs", async () => {
    const reply = await run("while (true) {}", 1);
    expect(reply).toMatchObject({ outcome: "timed_out", timed_out: true });
    expect(reply.outputs.at(-1)).toMatchObject({ type: "error", name: "TimeoutError" });
    expect((await run("1 + 1")).outcome).toBe("ok");
  });

  test("a TypeScript kernel that exits ends its run as KernelDied", async () => {
    expect(await run("Deno.exit(3)")).toMatchObject({
      outcome: "kernel_died",
      outputs: [{ name: "KernelDied", value: expect.stringContaining("exit code 3") }],
    });
    expect((await run("1 + 1")).outcome).toBe("ok");
  });
}
