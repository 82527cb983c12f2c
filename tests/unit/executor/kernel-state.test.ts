import { describe, expect, test } from "vitest";
import { KernelLifecycle } from "#executor/kernel/kernel-state.ts";

describe("the kernel's states", () => {
  test("a kernel begins without having been started, and says so", () => {
    const lifecycle = new KernelLifecycle();
    expect([lifecycle.state, lifecycle.reason]).toEqual(["starting", "kernel_not_started"]);
  });

  test("each state on the way has its reason, and a kernel that takes code has none", () => {
    const lifecycle = new KernelLifecycle();
    lifecycle.change("loading");
    expect(lifecycle.reason).toBe("code_loading");
    lifecycle.change("idle");
    expect(lifecycle.reason).toBeUndefined();
    lifecycle.change("busy");
    expect(lifecycle.reason).toBeUndefined();
    lifecycle.change("restarting");
    expect(lifecycle.reason).toBe("kernel_restarting");
  });

  test("a dead kernel says why, until it is started again", () => {
    const lifecycle = new KernelLifecycle();
    lifecycle.die("kernel_start_failed: no python");
    expect([lifecycle.state, lifecycle.reason]).toEqual(["dead", "kernel_start_failed: no python"]);
    lifecycle.change("restarting");
    expect(lifecycle.reason).toBe("kernel_restarting");
  });

  test.each(["idle", "busy"] as const)("no kernel goes from starting to %s", (next) => {
    expect(() => new KernelLifecycle().change(next)).toThrow(`from starting to ${next}`);
  });
});
