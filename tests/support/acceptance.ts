import { describe, expect, test } from "vitest";
import { executeReplySchema, type ExecuteReply } from "#contract/execution.ts";
import { verboseHealthSchema } from "#contract/executor-api.ts";
import { allocationSchema, statusSchema } from "#contract/manager-api.ts";

/** A running fleet with at least two Python executors that load `test-code/utilities`; default time limit 30 s. */
export interface FleetUnderTest {
  url: string;
}

/**
 * What a fleet promises to who curls it, the same for every way of running executors. `fleet` is called inside tests
 * only, when the fleet is up.
 */
export function describeAcceptance(fleet: () => FleetUnderTest): void {
  const post = (path: string, body?: unknown, headers: Record<string, string> = {}) =>
    fetch(fleet().url + path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const getJson = async (path: string): Promise<unknown> => (await fetch(fleet().url + path)).json();
  const status = async () => statusSchema.parse(await getJson("/status"));
  const kernelState = async (): Promise<unknown> => {
    const health = verboseHealthSchema.parse(await getJson("/session/0/health?verbose"));
    return health.kernel.state;
  };
  const run = async (
    code: string,
    options: { ref?: string; timeout?: number } = {},
  ): Promise<ExecuteReply> => {
    const { ref = "0", ...rest } = options;
    const reply = await post(`/session/${ref}/execute`, { code, ...rest });
    expect(reply.status).toBe(200);
    return executeReplySchema.parse(await reply.json());
  };

  describe("transcripts", () => {
    test.each([
      ["an assignment", "x = 42", "[]"],
      ["an empty string", "", "[]"],
      ["print", "print(x)", `[{"type":"stream","name":"stdout","text":"42\\n"}]`],
      ["an expression", "x+1", `[{"type":"result","data":{"text/plain":"43"}}]`],
    ])("%s gives exactly its outputs, as compact JSON", async (_, code, outputs) => {
      const reply = await post("/session/0/execute", { code: `x = 42\n${code}` });
      expect(await reply.text()).toMatch(`{"outputs":${outputs},"outcome":"ok",`);
    });

    test("a NameError has a traceback of header, cell and last line, without colours", async () => {
      const { outputs, outcome } = await run("nprint(x)");
      expect(outcome).toBe("error");
      expect(outputs).toEqual([
        {
          type: "error",
          name: "NameError",
          value: "name 'nprint' is not defined",
          traceback: [
            expect.stringMatching(/^NameError +Traceback \(most recent call last\)$/),
            expect.stringMatching(/^Cell In\[\d+\], line 1\n-+> 1 nprint\(x\)/),
            "NameError: name 'nprint' is not defined",
          ],
        },
      ]);
    });

    test("a SyntaxError has a traceback of one entry", async () => {
      const { outputs } = await run("def (");
      expect(outputs).toEqual([
        { type: "error", name: "SyntaxError", value: expect.any(String), traceback: [expect.any(String)] },
      ]);
    });

    test("a cell over its time limit is interrupted, says so, and keeps the variables", async () => {
      await run("kept = 1");
      const reply = await run("import time; time.sleep(5)", { timeout: 1 });
      expect(reply).toMatchObject({ outcome: "timed_out", timed_out: true });
      expect(reply.outputs).toEqual([
        expect.objectContaining({ type: "error", name: "KeyboardInterrupt" }),
        { type: "error", name: "TimeoutError", value: "Execution timed out after 1 seconds", traceback: [] },
      ]);
      expect(reply.kernel.restarted).toBeUndefined();
      expect((await run("kept")).outputs).toMatchObject([{ data: { "text/plain": "1" } }]);
    });

    test("input() is an error at once", async () => {
      const { outputs, outcome } = await run(`input("?")`);
      expect(outcome).toBe("error");
      expect(outputs.at(-1)).toMatchObject({ type: "error" });
    });

    test("a kernel that exits ends its run as KernelDied; the next run has a fresh kernel and says so", async () => {
      const died = await run("import os; os._exit(1)");
      expect(died.outcome).toBe("kernel_died");
      expect(died.outputs).toMatchObject([
        { type: "error", name: "KernelDied", value: expect.stringContaining("exit code 1"), traceback: [] },
      ]);
      const next = await run("1 + 1");
      expect(next).toMatchObject({ outcome: "ok", kernel: { restarted: true } });
      expect((await run("1 + 1")).kernel.restarted).toBeUndefined();
    });

    test("a session keeps its variables; another session does not see them", async () => {
      await run("mine = 'secret'");
      expect((await run("mine")).outcome).toBe("ok");
      expect((await run("mine", { ref: "1" })).outputs).toMatchObject([{ name: "NameError" }]);
    });

    test("code with raw line ends between the quotes of a JSON string is taken, as typed into a shell", async () => {
      const reply = await fetch(`${fleet().url}/session/0/execute`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: `{"code": "
if True:
\tprint(f\\"{6 * 7}\\")
"}`,
      });
      expect(await reply.json()).toMatchObject({ outputs: [{ text: "42\n" }] });
    });

    test("text bodies are the code itself", async () => {
      const reply = await fetch(`${fleet().url}/session/0/execute`, {
        method: "POST",
        headers: { "content-type": "text/x-python" },
        body: "print('from a file')",
      });
      expect(await reply.json()).toMatchObject({ outputs: [{ text: "from a file\n" }] });
    });
  });

  describe("while a cell runs", () => {
    test("the fleet answers, and an interrupt ends the cell and keeps the variables", async () => {
      await run("before = 7");
      const running = run("import time; time.sleep(60)");
      await expect.poll(kernelState).toBe("busy");
      for (const path of ["/session/0/health", "/session/0/ready", "/status", "/health"]) {
        expect((await fetch(fleet().url + path, { signal: AbortSignal.timeout(5_000) })).status).toBe(200);
      }
      expect(await (await post("/session/0/interrupt")).json()).toEqual({ status: "interrupting" });
      const reply = await running;
      expect(reply.outcome).toBe("interrupted");
      expect(reply.outputs).toMatchObject([{ type: "error", name: "KeyboardInterrupt" }]);
      expect((await run("before")).outputs).toMatchObject([{ data: { "text/plain": "7" } }]);
    });

    test.each([
      ["code that blocks", "import time; time.sleep(60)"],
      ["a coroutine that waits", "import asyncio\nawait asyncio.sleep(60)"],
      [
        "code that blocks in a coroutine",
        "async def block():\n    import time; time.sleep(60)\nawait block()",
      ],
    ])("an interrupt is never lost, however early it comes: %s", async (_, code) => {
      await run("before = 8");
      for (let round = 0; round < 5; round += 1) {
        const running = run(code);
        await expect.poll(kernelState, { interval: 1 }).toBe("busy");
        await post("/session/0/interrupt");
        expect((await running).outcome).toBe("interrupted");
      }
      expect((await run("before")).outputs).toMatchObject([{ data: { "text/plain": "8" } }]);
    });

    test("a restart ends the cell with the outcome restarted; a run that comes meanwhile has the clean kernel", async () => {
      await run("gone = 1");
      const running = run("import time; time.sleep(60)");
      await expect.poll(kernelState).toBe("busy");
      expect(await (await post("/session/0/restart")).json()).toEqual({ status: "restarting" });
      const after = await run("gone");
      expect((await running).outcome).toBe("restarted");
      expect(after.outputs).toMatchObject([{ name: "NameError" }]);
    });
  });

  test("events stream while the cell runs, and the last one is the outcome", async () => {
    const body = { code: "print('a', flush=True)\nprint('b')\n3" };
    const reply = await post("/session/0/execute", body, { accept: "application/x-ndjson" });
    expect(reply.headers.get("content-type")).toBe("application/x-ndjson");
    const events = (await reply.text())
      .trim()
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    expect(events[0]).toMatchObject({ seq: 0, type: "started" });
    expect(events.at(-1)).toMatchObject({ type: "outcome", outcome: "ok" });
    const sse = await post("/session/0/execute", { code: "1/0" }, { accept: "text/event-stream" });
    expect(await sse.text()).toMatch(
      /^id: 0\nevent: started\ndata: \{[\s\S]*\nevent: outcome\ndata: .*\n\n$/,
    );
  });

  test("mounted utility code is there from the start, and after a restart", async () => {
    const demo = [
      "data = [1, -2, 3, 4, -1, 5]",
      "processed = process_list(data)",
      "stats = calculate_stats(processed)",
      `print(f"Processed: {processed}")`,
      `print(f"Stats: {stats}")`,
      `print(f"Total: {format_currency(stats['sum'])}")`,
    ].join("\n");
    const expected = "Processed: [2, 6, 8, 10]\nStats: {'sum': 26, 'avg': 6.5, 'count': 4}\nTotal: $26.00\n";
    expect((await run(demo)).outputs).toEqual([{ type: "stream", name: "stdout", text: expected }]);
    await post("/session/0/restart");
    expect((await run(demo)).outputs).toEqual([{ type: "stream", name: "stdout", text: expected }]);
  });

  test("a deallocated executor is free and clean when the reply is there", async () => {
    await post("/restart");
    const { container_id, session_id } = allocationSchema.parse(
      await (await post("/allocate?container_type=python")).json(),
    );
    await run("left_behind = 1", { ref: session_id });
    const reply = await post(`/deallocate/${container_id}`);
    expect(await reply.json()).toEqual({ status: "deallocated", container_id });
    expect((await status()).allocated_container_ids).not.toContain(container_id);
    expect((await post(`/session/${session_id}/execute`, { code: "1" })).status).toBe(410);
    expect((await run("left_behind", { ref: String(container_id) })).outputs).toMatchObject([
      { name: "NameError" },
    ]);
  });
}
