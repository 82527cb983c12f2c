import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { executorStateSchema, type ExecutorState as StateName } from "#contract/manager-api.ts";
import { executorNumberSchema, newSessionId } from "#contract/ids.ts";
import {
  assertTransition,
  ExecutorLost,
  ExecutorStateMachine,
  type ExecutorState,
} from "#manager/fleet/executor-state.ts";
import { Executor, sessionOf } from "#manager/fleet/executor.ts";
import { Fleet } from "#manager/fleet/fleet.ts";

const names = executorStateSchema.options;

const isAllowed = (from: StateName, to: StateName) => {
  try {
    assertTransition(from, to);
    return true;
  } catch {
    return false;
  }
};

describe("the transition table", () => {
  test("allows these steps and no others", () => {
    const lines = names.map((from) => `${from} -> ${names.filter((to) => isAllowed(from, to)).join(", ")}`);
    expect(lines).toEqual([
      "starting -> starting, free, allocated, resetting, unhealthy",
      "free -> starting, allocated, unhealthy",
      "allocated -> resetting, unhealthy",
      "resetting -> free, unhealthy",
      "unhealthy -> free, allocated, resetting, unhealthy",
    ]);
  });

  test("names the step that it refuses", () => {
    expect(() => assertTransition("allocated", "free")).toThrow(
      "an executor cannot go from allocated to free",
    );
  });
});

describe("an executor", () => {
  let executor: Executor;
  let machine: ExecutorStateMachine;
  const sessionId = newSessionId();
  beforeEach(() => {
    machine = new ExecutorStateMachine();
    executor = new Executor({ number: executorNumberSchema.parse(0), type: "python" }, machine);
  });
  afterEach(() => executor[Symbol.asyncDispose]());

  const go = (...states: ExecutorState[]) => {
    for (const state of states) machine.change(state);
  };

  test("starts as starting, with a reason", () => {
    expect(executor.state).toEqual({ name: "starting", reason: expect.stringMatching(/./) });
  });

  test("changes its state by its fleet alone", async () => {
    expect(executor).not.toHaveProperty("changeState");
    await using fleet = new Fleet(pino({ level: "silent" }));
    fleet.add([{ number: executor.number, type: "python" }]);
    expect(() => fleet.changeState(executor, { name: "free" })).toThrow("not of this fleet");
    fleet.changeState(fleet.get(0), { name: "free" });
    expect([executor.state.name, fleet.get(0).state.name]).toEqual(["starting", "free"]);
  });

  test("stays as it is when a step is refused", () => {
    go({ name: "free" }, { name: "allocated", sessionId });
    expect(() => go({ name: "free" })).toThrow("from allocated to free");
    expect(executor.state.name).toBe("allocated");
  });

  test("tells who waits for it when it is lost, with the reason", () => {
    go({ name: "free" });
    const { lostSignal } = executor;
    expect(lostSignal.aborted).toBe(false);
    go({ name: "unhealthy", reason: "gone" });
    expect(lostSignal.reason).toEqual(new ExecutorLost({ reason: "gone" }));
  });

  test("that came back does not count as lost", () => {
    go({ name: "unhealthy", reason: "gone" }, { name: "free" });
    expect(executor.lostSignal.aborted).toBe(false);
  });

  test("that was lost keeps its session until it is known what survived", () => {
    go({ name: "free" }, { name: "allocated", sessionId }, { name: "unhealthy", reason: "gone", sessionId });
    expect(sessionOf(executor.state)).toBe(sessionId);
    go({ name: "allocated", sessionId });
    expect(sessionOf(executor.state)).toBe(sessionId);
    go({ name: "resetting", reason: "session deallocated" });
    expect(sessionOf(executor.state)).toBeUndefined();
  });
});
