import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeDenoKernel } from "#cli/deno-kernel.ts";
import { ExecutorProcess, FAULTS_DIR } from "#tests/support/executor-process.ts";
import { until } from "#tests/support/until.ts";

const PROJECT_DIR = join(import.meta.dirname, "..", "..");

let dir: string;
let executor: ExecutorProcess;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "kernelspecs-"));
  await mkdir(join(dir, "code"));
  await writeFile(
    join(dir, "code", "a.ts"),
    `export {};\nconst greet = (name: string) => "Hello, " + name;\nconsole.log("a is loaded");`,
  );
  await writeFile(join(dir, "code", "b.ts"), `throw new Error("b is broken")`);
  await writeFile(join(dir, "code", "note.py"), "not of this language");
});
afterAll(() => rm(dir, { recursive: true }));

describe("Deno's kernel", () => {
  beforeAll(async () => {
    const env = await makeDenoKernel({ projectDir: PROJECT_DIR, jupyterDir: dir, path: process.env["PATH"] });
    executor = await ExecutorProcess.start({ ...env, WORKSPACE_FOLDER: join(dir, "code") });
  });
  afterAll(() => executor[Symbol.asyncDispose]());

  test("keeps variables, prints, gives results and errors like Python's", async () => {
    expect(await executor.execute("const x: number = 42")).toMatchObject({ outcome: "ok", outputs: [] });
    expect(await executor.printed("console.log(x); console.error('e')")).toBe("42\ne\n");
    expect((await executor.execute("x + 1")).outputs).toEqual([
      { type: "result", data: { "text/plain": "43" } },
    ]);
    expect(await executor.execute("nothing")).toMatchObject({
      outcome: "error",
      outputs: [{ type: "error", name: "ReferenceError", value: "nothing is not defined" }],
    });
    expect((await executor.execute("def (")).outcome).toBe("error");
  });

  test("loads the mounted files of its language", async () => {
    expect(await executor.getJson("/code-info")).toMatchObject({
      executed_files: ["a.ts"],
      failed: [{ file: "b.ts", error: "Error: b is broken" }],
    });
    expect(await executor.printed("console.log(greet('x'))")).toBe("Hello, x\n");
    expect(executor.log).toContain("a is loaded");
  });

  test("knows no interrupt: a run over its time costs the state, and is still a time-out", async () => {
    const late = await executor.execute("while (true) {}", { timeout: 1 });
    expect(late).toMatchObject({ outcome: "timed_out", timed_out: true });
    expect(late.outputs).toMatchObject([{ name: "TimeoutError" }]);
    expect(late.hint).toContain("are lost");
    expect(await executor.execute("1")).toMatchObject({ outcome: "ok", kernel: { restarted: true } });
  });

  test("ends as interrupted all the same", async () => {
    const running = executor.execute("await new Promise((r) => setTimeout(r, 60_000))");
    await executor.untilState("busy");
    expect(await executor.postJson("/interrupt")).toEqual({ status: "interrupting" });
    expect(await running).toMatchObject({ outcome: "interrupted", outputs: [{ name: "KeyboardInterrupt" }] });
    expect((await executor.execute("1")).outcome).toBe("ok");
  });

  test("that exits is a death, and a restart gives a clean one with the mounted code", async () => {
    expect(await executor.execute("Deno.exit(3)")).toMatchObject({
      outcome: "kernel_died",
      outputs: [{ name: "KernelDied", value: "The kernel died: exit code 3" }],
    });
    await executor.execute("const gone = 1");
    await executor.postJson("/restart");
    expect((await executor.execute("gone")).outcome).toBe("error");
    expect(await executor.printed("console.log(greet('y'))")).toBe("Hello, y\n");
  });

  test("ends with its executor, however that ends", async () => {
    const pid = Number(await executor.printed("console.log(Deno.pid)"));
    process.kill(executor.pid, "SIGKILL");
    await until("the kernel is gone", () => {
      try {
        process.kill(pid, 0);
        return undefined;
      } catch {
        return true;
      }
    });
    expect(await executor.ended()).toBeNull();
  });
});

describe("a stock kernel for Python", () => {
  beforeAll(async () => {
    const spec = {
      argv: ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
      display_name: "Stock",
      language: "python",
      env: { COLOUR: "${SHADE}-blue" },
    };
    await mkdir(join(dir, "kernels", "stock"), { recursive: true });
    await writeFile(join(dir, "kernels", "stock", "kernel.json"), JSON.stringify(spec));
    executor = await ExecutorProcess.start({
      KERNEL_NAME: "stock",
      JUPYTER_PATH: dir,
      IPYTHONDIR: join(dir, "ipython"),
      SHADE: "light",
      WORKSPACE_FOLDER: join(FAULTS_DIR, "..", "basics"),
    });
  });
  afterAll(() => executor[Symbol.asyncDispose]());

  test("runs by its kernelspec, with mounted code and nothing of the executor's in the namespace", async () => {
    const first = await executor.execute(
      "print([n for n in dir() if not n.startswith('_')]); print(greet('you'), factorial(5))",
    );
    expect(first.execution_count).toBe(1);
    expect(first.outputs).toMatchObject([
      {
        text: "['GREETING', 'In', 'Out', 'add_numbers', 'calculate_circle_area', 'exit', 'factorial', 'get_ipython', 'greet', 'math', 'open', 'quit']\nHello, you! 120\n",
      },
    ]);
    expect(await executor.printed("import os; print(os.environ['COLOUR'])")).toBe("light-blue\n");
  });

  test("has the variables of a restart on top of its kernelspec's, and none of them after the next", async () => {
    const read = "import os, subprocess; print(subprocess.getoutput('echo $SHADE $COLOUR $NOTE'))";
    await executor.restart({ SHADE: "dark", NOTE: "a b" });
    expect(await executor.printed(read)).toBe("dark dark-blue a b\n");
    await executor.restart({ COLOUR: "red" });
    expect(await executor.printed(read)).toBe("light red\n");
    await executor.restart({});
    expect(await executor.printed(read)).toBe("light light-blue\n");
  });

  test("is interrupted and keeps its variables", async () => {
    await executor.execute("kept = 1");
    expect(await executor.execute("import time; time.sleep(60)", { timeout: 1 })).toMatchObject({
      outcome: "timed_out",
      outputs: [{ name: "KeyboardInterrupt" }, { name: "TimeoutError" }],
    });
    expect(await executor.printed("print(kept)")).toBe("1\n");
  });

  test("that loses messages of a flood, the last among them, does not keep the run from its end", async () => {
    const reply = await executor.execute(
      "from IPython.display import display\nfor i in range(6000): display('x' * 100)",
    );
    expect(["ok", "output_limit"]).toContain(reply.outcome);
    expect(await executor.printed("print('well')")).toBe("well\n");
  });
});
