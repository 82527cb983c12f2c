import { describe, expect, test } from "vitest";
import type { ContainerEvent } from "#manager/fleet/docker/container-event.ts";
import { ContainerLives } from "#manager/fleet/docker/container-lives.ts";
import type { ContainerRun } from "#manager/fleet/docker/engine.ts";

const MEMORY_LIMIT = { reason: "its container was killed by the memory limit (256 MiB)", outOfMemory: true };
const KILLED = { reason: "its container ended with exit code 137" };

/** A container that runs since the time 1000. */
function oneLife(changes: Partial<ContainerRun> = {}): ContainerLives {
  const lives = new ContainerLives(() => 256 * 1024 * 1024);
  lives.found(0, run(changes));
  return lives;
}

function run(changes: Partial<ContainerRun> = {}): ContainerRun {
  return { containerId: "a", startedAt: 1_000, running: true, exitCode: 0, oomKilled: false, ...changes };
}

function event(what: ContainerEvent["what"], at: number, exitCode?: number): ContainerEvent {
  const base = { containerId: "a", labels: {}, what, at };
  return exitCode === undefined ? base : { ...base, exitCode };
}

describe("the end of a container", () => {
  test("is told once, whether it is heard of or seen first", () => {
    const heard = oneLife();
    expect(heard.happened(0, event("died", 2_000, 3))).toEqual({
      reason: "its container ended with exit code 3",
    });
    expect(heard.happened(0, event("removed", 2_001))).toBeUndefined();
    expect(heard.found(0, undefined)).toBeUndefined();
    const seen = oneLife();
    expect(seen.found(0, run({ running: false, exitCode: 3 }))).toEqual({
      reason: "its container ended with exit code 3",
    });
    expect(seen.happened(0, event("died", 2_000, 3))).toBeUndefined();
  });

  test("that the manager asked for is not told, but the next one is", () => {
    const lives = oneLife();
    lives.begin(0, run({ startedAt: 3_000 }));
    expect(lives.happened(0, event("died", 2_000, 143))).toBeUndefined();
    expect(lives.happened(0, event("died", 3_001, 1))).toEqual({
      reason: "its container ended with exit code 1",
    });
  });

  test("that nobody saw is told when another run is found, or none", () => {
    expect(oneLife().found(0, run({ startedAt: 3_000 }))).toEqual({
      reason: "its container ended with the engine",
    });
    expect(oneLife().found(0, undefined)).toEqual({ reason: "its container was removed" });
    expect(oneLife().found(0, run({ containerId: "b" }))).toEqual({ reason: "its container was removed" });
    expect(oneLife().found(0, run())).toBeUndefined();
  });
});

describe("the memory limit", () => {
  test("is the cause when it struck close before", () => {
    const lives = oneLife();
    lives.happened(0, event("out_of_memory", 4_900));
    expect(lives.happened(0, event("died", 5_000, 137))).toEqual(MEMORY_LIMIT);
  });

  test("is waited for after an end that nothing else explains, and may be told of late", () => {
    const lives = oneLife();
    const end = event("died", 5_000, 137);
    expect(lives.isUnexplained(0, end)).toBe(true);
    lives.happened(0, event("out_of_memory", 5_001));
    expect(lives.isUnexplained(0, end)).toBe(false);
    expect(lives.happened(0, end)).toEqual(MEMORY_LIMIT);
    const killed = oneLife();
    killed.happened(0, event("killed", 4_999));
    expect(killed.isUnexplained(0, end)).toBe(false);
    expect(killed.isUnexplained(0, event("died", 5_000, 3))).toBe(false);
  });

  test("is the cause when the engine says so without an event", () => {
    expect(oneLife().happened(0, event("died", 5_000, 137), run({ oomKilled: true }))).toEqual(MEMORY_LIMIT);
    expect(oneLife().found(0, run({ running: false, exitCode: 137, oomKilled: true }))).toEqual(MEMORY_LIMIT);
  });

  test("is not the cause when it struck a child long before, whatever the engine keeps of that", () => {
    const lives = oneLife();
    lives.happened(0, event("out_of_memory", 1_500));
    expect(lives.happened(0, event("died", 5_000, 137), run({ oomKilled: true }))).toEqual(KILLED);
    const adopted = oneLife({ oomKilled: true });
    expect(adopted.happened(0, event("died", 5_000, 137), run({ oomKilled: true }))).toEqual(KILLED);
  });

  test("is not the cause when somebody had the engine kill it, or when it ended by itself", () => {
    const killed = oneLife();
    killed.happened(0, event("out_of_memory", 4_900));
    killed.happened(0, event("killed", 4_950));
    expect(killed.happened(0, event("died", 5_000, 137))).toEqual(KILLED);
    const ended = oneLife();
    ended.happened(0, event("out_of_memory", 4_900));
    expect(ended.happened(0, event("died", 5_000, 5))).toEqual({
      reason: "its container ended with exit code 5",
    });
  });

  test("of an earlier run says nothing of the present one", () => {
    const lives = oneLife();
    lives.happened(0, event("out_of_memory", 1_500));
    lives.begin(0, run({ startedAt: 2_000 }));
    expect(lives.happened(0, event("died", 2_500, 137))).toEqual(KILLED);
  });
});

test("a broken connection is explained by the end that was told just now", () => {
  const lives = oneLife();
  expect(lives.recentLoss(0)).toBeUndefined();
  lives.happened(0, event("died", 2_000, 3));
  expect(lives.recentLoss(0)).toEqual({ reason: "its container ended with exit code 3" });
});
