import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ExecutorProcess, FAULTS_DIR } from "#tests/support/executor-process.ts";
import { descendantsOf } from "#tests/support/fleet-command.ts";
import { until } from "#tests/support/until.ts";

const fault = (name: string) => readFile(`${FAULTS_DIR}/${name}.py`, "utf8");
const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

let executor: ExecutorProcess;

const untilWaiting = (count: number) =>
  until(`${count} executions wait`, async () => (await executor.health()).waiting === count || undefined);

beforeEach(async () => {
  executor = await ExecutorProcess.start();
});
afterEach(() => executor[Symbol.asyncDispose]());

describe("while a cell runs", () => {
  test("every other endpoint answers, and an interrupt ends the cell and keeps the variables", async () => {
    await executor.execute("kept = 7");
    const running = executor.execute("import time; time.sleep(60)");
    await executor.untilState("busy");
    expect(await executor.getJson("/health")).toMatchObject({ status: "ok", boot_id: expect.any(String) });
    expect(await executor.getJson("/ready")).toEqual({ ready: true });
    expect(await executor.getJson("/restart-status")).toEqual({ restarting: false });
    expect(await executor.getJson("/code-info")).toMatchObject({ executed_files: [] });
    expect(await executor.postJson("/interrupt")).toEqual({ status: "interrupting" });
    expect(await running).toMatchObject({
      outcome: "interrupted",
      outputs: [{ type: "error", name: "KeyboardInterrupt" }],
    });
    expect(await executor.printed("print(kept)")).toBe("7\n");
    expect(await executor.postJson("/interrupt")).toEqual({ status: "idle" });
  });

  test("others wait their turn, in the order in which they came", async () => {
    const first = executor.execute("import time; order = ['first']; time.sleep(0.5)");
    await executor.untilState("busy");
    const rest = [];
    for (const name of ["second", "third", "fourth"]) {
      rest.push(executor.execute(`order.append("${name}")`));
      // Two requests on two connections have no order of their own: the one is there before the next is sent.
      await untilWaiting(rest.length);
    }
    await Promise.all([first, ...rest]);
    expect(await executor.printed("print(*order)")).toBe("first second third fourth\n");
  });

  test("what waits for its turn when a restart comes does not run on the clean kernel", async () => {
    const running = executor.execute("import time; time.sleep(60)");
    await executor.untilState("busy");
    const waiting = executor.execute("leak = 1", { on_disconnect: "continue" });
    await untilWaiting(1);
    await executor.postJson("/restart");
    expect(await running).toMatchObject({ outcome: "restarted" });
    expect(await waiting).toMatchObject({ outcome: "restarted", outputs: [{ name: "KernelRestarted" }] });
    expect(await executor.execute("leak")).toMatchObject({ outputs: [{ name: "NameError" }] });
  });

  test("an interrupt ends a run that waits for the kernel", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slow-code-"));
    await writeFile(join(folder, "slow.py"), "import time; time.sleep(2)");
    await using slow = await ExecutorProcess.start({ WORKSPACE_FOLDER: folder });
    await slow.postJson("/restart");
    const running = slow.execute("print('ran')");
    await until("it has begun to wait", async () => (await slow.health()).executions === 1 || undefined);
    expect(await slow.postJson("/interrupt")).toEqual({ status: "interrupting" });
    expect(await running).toMatchObject({ outcome: "interrupted", outputs: [{ name: "KeyboardInterrupt" }] });
    await rm(folder, { recursive: true });
  });

  test("an error of the code's own after an interrupt is an error", async () => {
    const code = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    1 / 0";
    const running = executor.execute(code);
    await executor.untilState("busy");
    await executor.postJson("/interrupt");
    expect(await running).toMatchObject({ outcome: "error", outputs: [{ name: "ZeroDivisionError" }] });
  });

  test("a restart ends it as restarted; what comes meanwhile runs on the clean kernel", async () => {
    await executor.execute("gone = 1");
    const running = executor.execute("import time; time.sleep(60)");
    await executor.untilState("busy");
    expect(await executor.postJson("/restart")).toEqual({ status: "restarting" });
    expect(await executor.postJson("/restart")).toEqual({ status: "already_restarting" });
    expect(await executor.getJson("/restart-status")).toEqual({ restarting: true });
    expect(await executor.getJson("/ready")).toEqual({ ready: false, reason: "kernel_restarting" });
    const next = await executor.execute("gone");
    expect(await running).toMatchObject({ outcome: "restarted", outputs: [{ name: "KernelRestarted" }] });
    expect(next.outputs).toMatchObject([{ name: "NameError" }]);
    expect(next).toMatchObject({ execution_count: 1 });
    expect(next.kernel.restarted).toBeUndefined();
    expect(await executor.getJson("/restart-status")).toEqual({ restarting: false });
  });
});

describe("programs that misbehave", () => {
  test("one that ignores interrupts costs the kernel, and is over soon after its time", async () => {
    const { outputs, outcome, hint } = await executor.execute(await fault("ignores_interrupts"), {
      timeout: 1,
    });
    expect(outcome).toBe("timed_out");
    expect(outputs).toEqual([
      { type: "error", name: "TimeoutError", value: "Execution timed out after 1 seconds", traceback: [] },
    ]);
    expect(hint).toContain("are lost");
    expect(await executor.execute("1")).toMatchObject({ outcome: "ok", kernel: { restarted: true } });
  });

  test("one that forks leaves nothing behind after a restart, not even in a session of its own", async () => {
    const pid = Number(await executor.printed(await fault("forks")));
    expect(alive(pid)).toBe(true);
    await executor.postJson("/restart");
    await executor.execute("1");
    expect(alive(pid)).toBe(false);
  });

  test("a cell that forks and goes on in both does not answer twice", async () => {
    const code =
      "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\nprint('child' if pid == 0 else 'parent')";
    const printed = await executor.printed(code);
    expect(printed.trim().split("\n").toSorted()).toEqual(["child", "parent"]);
    expect(await executor.printed("print(1)")).toBe("1\n");
  });

  test("one that exits costs its own run only", async () => {
    expect((await executor.execute(await fault("exits"))).outcome).toBe("kernel_died");
    expect((await executor.execute("1")).outcome).toBe("ok");
  });

  test("a crash is told by its signal", async () => {
    const { outcome, outputs } = await executor.execute(
      "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
    );
    expect(outcome).toBe("kernel_died");
    expect(outputs).toMatchObject([{ name: "KernelDied", value: "The kernel died: signal SIGSEGV" }]);
  });

  test("one that kills the process its kernel came from is a death, and the next run works", async () => {
    expect(
      (await executor.execute("import os, signal; os.kill(os.getppid(), signal.SIGKILL)\nwhile True: pass"))
        .outcome,
    ).toBe("kernel_died");
    expect((await executor.execute("1")).outcome).toBe("ok");
  });
});

describe("a kernel that dies while nothing runs", () => {
  test("is replaced without anybody's doing, and the next run says so", async () => {
    const pid = Number(await executor.printed("import os; print(os.getpid())"));
    process.kill(pid, "SIGKILL");
    await until(
      "the kernel was restarted",
      async () => (await executor.health()).restarts === 1 || undefined,
    );
    await executor.untilReady();
    expect((await executor.execute("1")).kernel.restarted).toBe(true);
  });

  test("is replaced also when it has only just started", async () => {
    const kernel = (await descendantsOf(executor.pid)).at(-1) ?? 0;
    process.kill(kernel, "SIGKILL");
    await until(
      "the kernel was restarted",
      async () => (await executor.health()).restarts === 1 || undefined,
    );
    await executor.untilReady();
    expect((await executor.execute("1")).outcome).toBe("ok");
  });
});

describe("a restart while another start goes on", () => {
  test("gives a clean kernel that says nothing of the one that was lost", async () => {
    for (let i = 0; i < 5; i += 1) {
      await executor.execute("import os; os._exit(1)");
      expect(await executor.postJson("/restart")).toEqual({ status: "restarting" });
      const next = await executor.execute("import os; print(os.listdir()); open('note', 'w').close()");
      expect(next).toMatchObject({ outcome: "ok", execution_count: 1, outputs: [{ text: "[]\n" }] });
      expect(next.kernel.restarted).toBeUndefined();
    }
    expect((await executor.health()).kernel.state).toBe("idle");
  });
});

describe("a kernel that does not start", () => {
  test("is told by /ready and by KernelError, and is tried again", async () => {
    await using broken = await ExecutorProcess.launch({ KERNEL_PYTHON: "/nowhere/python" });
    await until("it gave up", async () => {
      const ready = await broken.getJson("/ready").catch(() => undefined);
      return JSON.stringify(ready)?.includes("kernel_start_failed") || undefined;
    });
    const { outputs, outcome } = await broken.execute("1");
    expect(outcome).toBe("kernel_died");
    expect(outputs).toEqual([
      {
        type: "error",
        name: "KernelError",
        value: expect.stringContaining("/nowhere/python"),
        traceback: [],
      },
    ]);
    expect((await broken.health()).restarts).toBe(1);
  });
});

describe("the working directory", () => {
  test("is empty for every tenant: a restart takes the files away, a death does not", async () => {
    await executor.execute("open('note', 'w').write('x')");
    await executor.execute("import os; os._exit(1)");
    expect(await executor.printed("import os; print(os.listdir())")).toBe("['note']\n");
    await executor.postJson("/restart");
    expect(await executor.printed("import os; print(os.listdir())")).toBe("[]\n");
  });
});

describe("a stop", () => {
  test("ends what runs and what waits with an outcome, ends all processes and leaves no file", async () => {
    const child = Number(await executor.printed(await fault("forks")));
    const running = executor.execute("import time; time.sleep(60)");
    await executor.untilState("busy");
    const waiting = executor.execute("1");
    await untilWaiting(1);
    const stopped = executor.stop();
    expect(await waiting).toMatchObject({ outcome: "executor_lost" });
    expect(await running).toMatchObject({ outcome: "executor_lost" });
    expect(await stopped).toEqual({ exitCode: 0, left: [] });
    expect(alive(child)).toBe(false);
  });

  test("by SIGKILL ends the kernel, too, even when the process that it came from is killed with it", async () => {
    const pids = (await executor.printed("import os; print(os.getpid(), os.getppid())"))
      .split(" ")
      .map(Number);
    const [kernel = 0, host = 0] = pids;
    process.kill(executor.pid, "SIGKILL");
    process.kill(host, "SIGKILL");
    await expect.poll(() => alive(kernel), { timeout: 10_000 }).toBe(false);
  });
});
