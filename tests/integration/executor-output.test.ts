import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Output } from "#contract/outputs.ts";
import { ExecutorProcess, FAULTS_DIR } from "#tests/support/executor-process.ts";

const MAX_OUTPUT_BYTES = 1024 * 1024;
const fault = (name: string) => readFile(`${FAULTS_DIR}/${name}.py`, "utf8");
const textOf = (outputs: readonly Output[], name: "stdout" | "stderr") =>
  outputs.map((output) => (output.type === "stream" && output.name === name ? output.text : "")).join("");

let executor: ExecutorProcess;

beforeAll(async () => {
  executor = await ExecutorProcess.start({ MAX_OUTPUT_BYTES: String(MAX_OUTPUT_BYTES) });
});
afterAll(() => executor[Symbol.asyncDispose]());

describe("output belongs to the cell that made it", () => {
  test("late prints of a thread, a timer and a child are never in the next cell", async () => {
    expect(await executor.printed(await fault("prints_after_its_cell"))).toBe("in time\n");
    expect(await executor.printed("import time; time.sleep(1); print('next')")).toBe("next\n");
  });

  test("late displays and tracebacks of threads are never in the next cell either", async () => {
    const code = `
import threading, time
from IPython.display import display
def late():
    time.sleep(0.2)
    display("late")
    raise ValueError("late")
class Late(threading.Thread):
    def run(self):
        late()
Late().start()`;
    expect((await executor.execute(code)).outputs).toEqual([]);
    expect(await executor.execute("time.sleep(0.6); 'next'")).toMatchObject({
      outputs: [{ type: "result", data: { "text/plain": "'next'" } }],
    });
  });

  test("a pool that was made in one cell prints in the cell that uses it", async () => {
    await executor.execute("from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)");
    expect(await executor.printed("_ = list(pool.map(lambda n: print(n, end=''), [1, 1]))")).toBe("11");
    expect(await executor.printed("_ = list(pool.map(lambda n: print(n, end=''), [2, 2]))")).toBe("22");
    await executor.execute("pool.shutdown()");
  });

  test("children and writes to descriptors are seen, also those of the cell's last moment", async () => {
    const code = `
import os, subprocess, sys
subprocess.run(["sh", "-c", "echo from a child; echo its error >&2"])
subprocess.run(["echo", "by sys.stdout"], stdout=sys.stdout)
os.write(1, b"by descriptor")`;
    const { outputs } = await executor.execute(`${code};`);
    expect(textOf(outputs, "stdout")).toBe("from a child\nby sys.stdout\nby descriptor");
    expect(textOf(outputs, "stderr")).toBe("its error\n");
  });

  test("a character that is written in two pieces arrives whole", async () => {
    expect(await executor.printed(await fault("splits_utf8"))).toBe("€\n");
  });

  test("forked children print, in processes of multiprocessing as well", async () => {
    const code = `
import multiprocessing
processes = [multiprocessing.get_context("fork").Process(target=print, args=("é" * 3,)) for _ in range(3)]
for p in processes: p.start()
for p in processes: p.join()`;
    expect(await executor.printed(code)).toBe("ééé\n".repeat(3));
  });
});

describe("a flood", () => {
  test("is cut to head and tail; the executor answers meanwhile, and the kernel keeps its state", async () => {
    await executor.execute("kept = 1");
    const running = executor.execute(await fault("floods_output"), { timeout: 2 });
    await executor.untilState("busy");
    let slowest = 0;
    for (let i = 0; i < 20; i += 1) {
      const asked = performance.now();
      await executor.getJson("/health");
      slowest = Math.max(slowest, performance.now() - asked);
    }
    expect(slowest).toBeLessThan(1000);
    const reply = await running;
    expect(reply).toMatchObject({ outcome: "timed_out", truncated: true });
    const text = textOf(reply.outputs, "stdout");
    expect(text).toMatch(/^line 0 x+\nline 1 x+\n/);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(MAX_OUTPUT_BYTES);
    expect(textOf(reply.outputs, "stderr")).toMatch(/\[\d+ bytes of output left out here/);
    expect(await executor.printed("print(kept)")).toBe("1\n");
  });

  test.each([
    ["very many tiny messages", "for i in range(20000): print(i, flush=True)"],
    ["very many displays", "from IPython.display import display\nfor i in range(20000): display(i)"],
    ["one giant text", "print('x' * 50_000_000)"],
    ["one giant result", "'x' * 50_000_000"],
    ["one giant display", "from IPython.display import HTML, display\ndisplay(HTML('x' * 50_000_000))"],
    ["one giant write to a descriptor", "import os\nos.write(1, b'x' * 5_000_000);"],
  ])("of %s ends well, and says that it was cut", async (_, code) => {
    const { outcome, truncated, outputs } = await executor.execute(code);
    expect({ outcome, truncated }).toEqual({ outcome: "output_limit", truncated: true });
    expect(JSON.stringify(outputs).length).toBeLessThan(3 * MAX_OUTPUT_BYTES);
    expect(await executor.printed("print('well')")).toBe("well\n");
  });

  test("of a giant error keeps the error", async () => {
    const reply = await executor.execute("raise ValueError('x' * 50_000_000)");
    expect(reply).toMatchObject({ outcome: "error", truncated: true });
    expect(reply.outputs.at(-1)).toMatchObject({ type: "error", name: "ValueError" });
    expect(await executor.printed("print('well')")).toBe("well\n");
  });

  test("leaves the server's memory bounded", async () => {
    const residentMiB = async () => {
      const { stdout } = await promisify(execFile)("ps", ["-o", "rss=", "-p", String(executor.pid)]);
      return Number(stdout) / 1024;
    };
    for (let i = 0; i < 3; i += 1) await executor.execute(await fault("floods_output"), { timeout: 2 });
    expect(await residentMiB()).toBeLessThan(400);
  });
});
