import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applyEvent, EVENT_STREAM, replyOf, type ExecutionEvent } from "#contract/events.ts";
import type { Output } from "#contract/outputs.ts";
import { ExecutorProcess } from "#tests/support/executor-process.ts";

let executor: ExecutorProcess;
let workingDir: string;

beforeAll(async () => {
  workingDir = await mkdtemp(join(tmpdir(), "working-dir-"));
  executor = await ExecutorProcess.start({ WORKING_DIR: workingDir });
});
afterAll(async () => {
  await executor[Symbol.asyncDispose]();
  await rm(workingDir, { recursive: true });
});

describe("an event stream", () => {
  test("numbers its events without gaps, ends with the outcome, and folds to the plain reply", async () => {
    const code = "print('a', flush=True)\nimport sys; print('b', file=sys.stderr)\n1/0";
    const events = await Array.fromAsync(executor.events(code));
    expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index));
    expect(events[0]).toMatchObject({ type: "started", kernel_id: expect.any(String) });
    const outputs: Output[] = [];
    for (const event of events) applyEvent(outputs, event);
    const end = events.at(-1);
    const plain = await executor.execute(code);
    expect(end?.type === "outcome" ? replyOf(outputs, end) : undefined).toMatchObject({
      outcome: "error",
      kernel: plain.kernel,
      outputs: [plain.outputs[0], plain.outputs[1], { name: "ZeroDivisionError" }],
    });
  });

  test("brings output while the cell still runs", async () => {
    const stream = executor.events("print('early')\nimport time; time.sleep(60)");
    for await (const event of stream) {
      if (event.type !== "output") continue;
      expect(event.output).toEqual({ type: "stream", name: "stdout", text: "early\n" });
      break;
    }
    // The loop has closed the stream, and with it ended the run.
    expect((await executor.execute("1")).outcome).toBe("ok");
  });

  test("is kept alive while the code is silent and while it waits for its turn", async () => {
    const silent: ExecutionEvent["type"][] = [];
    const waiting: ExecutionEvent["type"][] = [];
    const first = (async () => {
      for await (const event of executor.events("import time; time.sleep(8)")) silent.push(event.type);
    })();
    await executor.untilState("busy");
    for await (const event of executor.events("1")) waiting.push(event.type);
    await first;
    expect(silent.slice(0, 2)).toEqual(["started", "keep_alive"]);
    expect(silent.at(-1)).toBe("outcome");
    expect(waiting[0]).toBe("keep_alive");
    expect(waiting.slice(-3)).toEqual(["started", "output", "outcome"]);
  });

  test("comes as server-sent events, too", async () => {
    const reply = await executor.post("print(1)", {}, { headers: { accept: EVENT_STREAM } });
    expect(reply.headers.get("content-type")).toBe("text/event-stream");
    expect(await reply.text()).toMatch(
      /^id: 0\nevent: started\ndata: \{.*\}\n\nid: 1\nevent: output\ndata: \{.*\}\n\nid: 2\nevent: outcome\ndata: \{.*\}\n\n$/,
    );
  });
});

describe("a client that goes away", () => {
  const leave = async (code: string, options: { on_disconnect?: "continue" }, accept: string) => {
    const client = new AbortController();
    const gone = executor
      .post(code, options, { signal: client.signal, headers: { accept } })
      .then((reply) => reply.text())
      .catch((error: unknown) => error);
    await executor.untilState("busy");
    client.abort();
    expect(await gone).toBeInstanceOf(Error);
  };
  const forms = [["application/json"], ["application/x-ndjson"]];

  test.each(forms)("interrupts its run, and the variables are kept (%s)", async (accept) => {
    await executor.execute("kept = 5");
    await leave("import time; time.sleep(60)", {}, accept);
    await executor.untilState("idle");
    expect(await executor.printed("print(kept)")).toBe("5\n");
  });

  test.each(forms)("leaves its run going when the request says so (%s)", async (accept) => {
    await executor.execute("import os, time");
    const wait = "while not os.path.exists('go'): time.sleep(0.01)\nos.remove('go')\ndone = 'done'";
    await leave(wait, { on_disconnect: "continue" }, accept);
    const next = executor.printed("print(done); del done");
    await writeFile(join(workingDir, "go"), "");
    expect(await next).toBe("done\n");
  });

  test("before its turn takes its run along", async () => {
    await executor.execute("ran = []");
    const running = executor.execute("import time; time.sleep(0.5)");
    await executor.untilState("busy");
    const client = new AbortController();
    const gone = executor
      .post("ran.append(1)", {}, { signal: client.signal })
      .catch((error: unknown) => error);
    await executor.getJson("/health");
    client.abort();
    await Promise.all([gone, running]);
    expect(await executor.printed("print(ran)")).toBe("[]\n");
  });
});
