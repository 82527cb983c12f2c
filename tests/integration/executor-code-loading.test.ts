import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { codeInfoSchema } from "#contract/executor-api.ts";
import { ExecutorProcess, UTILITIES_DIR } from "#tests/support/executor-process.ts";

let folder: string;
const write = async (files: Record<string, string>) => {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(folder, name, ".."), { recursive: true });
    await writeFile(join(folder, name), text);
  }
};
const start = (env: Record<string, string> = {}) =>
  ExecutorProcess.start({ WORKSPACE_FOLDER: folder, ...env });

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "workspace-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("mounted code", () => {
  test("is there from the start and after a restart; the first cell is In [1] and finds no names but those of the files", async () => {
    await using executor = await start({ WORKSPACE_FOLDER: UTILITIES_DIR });
    const names = "print(sorted(n for n in dir() if not n.startswith('_')))";
    for (const _ of ["start", "restart"]) {
      const first = await executor.execute(names);
      expect(first.execution_count).toBe(1);
      expect(first.outputs).toEqual([
        {
          type: "stream",
          name: "stdout",
          text: "['In', 'Out', 'calculate_stats', 'exit', 'format_currency', 'format_percentage', 'get_ipython', 'open', 'process_list', 'quit']\n",
        },
      ]);
      expect(await executor.printed("print(process_list([1, -2, 3]), '__file__' in dir(), len(In))")).toBe(
        "[2, 6] False 3\n",
      );
      await executor.postJson("/restart");
    }
    expect(await executor.getJson("/code-info")).toEqual({
      workspace_folder: UTILITIES_DIR,
      executed_files: ["data_processing.py", "formatters.py"],
      failed: [],
    });
    expect(executor.log).toContain("Formatters loaded");
  });

  test("runs in name order with __file__ set, can import its folder, and leaves out _files, others and sub-folders", async () => {
    await write({
      "b.py": "order.append(__file__)\nfrom package.inner import VALUE\nimport _private",
      "a.py": "order = [__file__]",
      "_private.py": "SECRET = 1\nprint('private was imported')",
      "notes.txt": "not code",
      "package/__init__.py": "",
      "package/inner.py": "VALUE = 5",
      "random.py": "hides = 'nothing'",
    });
    await using executor = await start();
    expect(await executor.printed("print(order, VALUE, _private.SECRET)")).toBe(
      `['${join(folder, "a.py")}', '${join(folder, "b.py")}'] 5 1\n`,
    );
    expect(codeInfoSchema.parse(await executor.getJson("/code-info")).executed_files).toEqual([
      "a.py",
      "b.py",
      "random.py",
    ]);
    // A mounted file does not hide a module of Python itself.
    expect(await executor.printed("import random; print(random.randint(3, 3))")).toBe("3\n");
  });

  test("that raises does not stop the others, and is told with its error", async () => {
    await write({ "a.py": "before = 1", "b.py": "1/0", "c.py": "def (", "d.py": "after = 2" });
    await using executor = await start();
    expect(await executor.printed("print(before, after)")).toBe("1 2\n");
    expect(await executor.getJson("/code-info")).toEqual({
      workspace_folder: folder,
      executed_files: ["a.py", "d.py"],
      failed: [
        { file: "b.py", error: "ZeroDivisionError: division by zero" },
        { file: "c.py", error: expect.stringContaining("SyntaxError") },
      ],
    });
    expect(executor.log).toContain("division by zero");
  });

  test("that ends the kernel or never ends is left out, and the others are there", async () => {
    await write({
      "a.py": "first = 1",
      "b.py": "import os; os._exit(3)",
      "c.py": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
      "d.py": "import time; time.sleep(60)",
      "e.py": "last = 2",
    });
    await using executor = await start({ CODE_LOADING_TIMEOUT: "1" });
    expect(await executor.printed("print(first, last)")).toBe("1 2\n");
    expect(await executor.getJson("/code-info")).toMatchObject({
      executed_files: ["a.py", "e.py"],
      failed: [
        { file: "b.py", error: "ended the kernel: exit code 3" },
        { file: "c.py", error: expect.stringContaining("CODE_LOADING_TIMEOUT") },
        { file: "d.py", error: expect.stringContaining("CODE_LOADING_TIMEOUT") },
      ],
    });
  });

  test("keeps the executor from being ready until it is loaded, while it answers", async () => {
    await write({
      "slow.py": "import time\nwhile not __import__('os').path.exists(__file__ + '.go'): time.sleep(0.01)",
    });
    await using executor = await ExecutorProcess.launch({ WORKSPACE_FOLDER: folder });
    await expect
      .poll(() => executor.getJson("/ready").catch(() => undefined), { timeout: 30_000 })
      .toEqual({ ready: false, reason: "code_loading" });
    const waiting = executor.printed("print('ran')");
    expect(await executor.getJson("/health")).toMatchObject({ status: "ok" });
    await write({ "slow.py.go": "" });
    expect(await waiting).toBe("ran\n");
    await executor.untilReady();
  });
});
