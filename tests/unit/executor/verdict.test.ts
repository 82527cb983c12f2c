import { describe, expect, test } from "vitest";
import type { ExecuteReply } from "#executor/kernel/live-kernel.ts";
import { kernelMissing, verdictOn, type Finish, type VerdictFacts } from "#executor/verdict.ts";

const facts: VerdictFacts = {
  stopCause: undefined,
  timeoutMs: 3_000,
  maxTimeoutMs: 60_000,
  truncated: false,
  memoryLimit: () => 256 * 1024 * 1024,
};
const ok: ExecuteReply = { status: "ok", execution_count: 1, user_expressions: {}, payload: [] };
const failed: ExecuteReply = {
  status: "error",
  execution_count: 1,
  ename: "ValueError",
  evalue: "",
  traceback: [],
};
const interrupted: ExecuteReply = { ...failed, ename: "KeyboardInterrupt" };
const died = (code: number | null, signal: NodeJS.Signals | null, oomKilled = false): Finish => ({
  by: "ending",
  ending: { cause: "died", exit: { code, signal }, oomKilled },
});

describe("the outcome of a run", () => {
  test.each<[string, Finish, Partial<VerdictFacts>, string]>([
    ["that ended well", { by: "reply", reply: ok }, {}, "ok"],
    ["that raised", { by: "reply", reply: failed }, {}, "error"],
    ["whose output was cut", { by: "reply", reply: ok }, { truncated: true }, "output_limit"],
    ["that raised and was cut", { by: "reply", reply: failed }, { truncated: true }, "error"],
    [
      "that an interrupt ended",
      { by: "reply", reply: interrupted },
      { stopCause: "interrupt" },
      "interrupted",
    ],
    ["that failed by itself after one", { by: "reply", reply: failed }, { stopCause: "interrupt" }, "error"],
    ["that raised KeyboardInterrupt itself", { by: "reply", reply: interrupted }, {}, "error"],
    ["that an interrupt came too late for", { by: "reply", reply: ok }, { stopCause: "interrupt" }, "ok"],
    ["over its time", { by: "reply", reply: failed }, { stopCause: "timeout" }, "timed_out"],
    [
      "over its time that swallowed the interrupt",
      { by: "reply", reply: ok },
      { stopCause: "timeout" },
      "timed_out",
    ],
    ["over its time that went on", { by: "overrun" }, { stopCause: "timeout" }, "timed_out"],
    ["that died of the interrupt at its time", died(null, "SIGINT"), { stopCause: "timeout" }, "timed_out"],
    ["that died of an interrupt", died(null, "SIGINT"), { stopCause: "interrupt" }, "interrupted"],
    ["that exited after an interrupt", died(1, null), { stopCause: "interrupt" }, "kernel_died"],
    ["whose kernel exited", died(1, null), {}, "kernel_died"],
    ["whose kernel ran out of memory", died(null, "SIGKILL", true), {}, "oom_killed"],
    ["during a restart", { by: "ending", ending: { cause: "replaced" } }, {}, "restarted"],
    ["when the executor stops", { by: "ending", ending: { cause: "closed" } }, {}, "executor_lost"],
  ])("%s", (_, finish, more, outcome) => {
    expect(verdictOn(finish, { ...facts, ...more }).outcome).toBe(outcome);
  });

  test("a time-out names the limit in its error, the state and the ways out in its hint", () => {
    const kept = verdictOn({ by: "reply", reply: failed }, { ...facts, stopCause: "timeout" });
    expect(kept.error).toEqual({
      type: "error",
      name: "TimeoutError",
      value: "Execution timed out after 3 seconds",
      traceback: [],
    });
    expect(kept.hint).toMatch(/kept its variables.*"timeout".*60 seconds.*EXECUTION_TIMEOUT/);
    expect(verdictOn({ by: "overrun" }, { ...facts, stopCause: "timeout" }).hint).toContain("are lost");
  });

  test("a death names exit code, signal or memory limit", () => {
    expect(verdictOn(died(1, null), facts).error?.value).toBe("The kernel died: exit code 1");
    expect(verdictOn(died(null, "SIGSEGV"), facts).error?.value).toBe("The kernel died: signal SIGSEGV");
    expect(verdictOn(died(null, "SIGKILL", true), facts).error).toMatchObject({
      name: "KernelDied",
      value: "The kernel was killed by the memory limit (256 MiB)",
    });
  });

  test("a run that finds no kernel says why as KernelError", () => {
    expect(kernelMissing(new Error("no such Python")).error).toEqual({
      type: "error",
      name: "KernelError",
      value: "no such Python",
      traceback: [],
    });
  });
});
