import { expect, test } from "vitest";
import { executorNumberSchema } from "#contract/ids.ts";
import { ExecutorStateMachine } from "#manager/fleet/executor-state.ts";
import { Executor } from "#manager/fleet/executor.ts";
import { RestartPace } from "#manager/fleet/restart-pace.ts";

const START_MS = 1_000;

/**
 * An engine as Moby is, and an executor in it whose sessions all last `sessionMs`: how long each of `resets` takes from
 * the end of the session until the next process answers.
 */
function resetTimes(sessionMs: number, resets: number): number[] {
  const plan = { number: executorNumberSchema.parse(0), type: "python" };
  const executor = new Executor(plan, new ExecutorStateMachine());
  const pace = new RestartPace();
  const times: number[] = [];
  let engineDelay = 0;
  let startedAt = 0;
  for (let reset = 0; reset < resets; reset += 1) {
    const sessionEnd = startedAt + START_MS + sessionMs;
    const endedAt = sessionEnd + pace.waitMs(executor, sessionEnd);
    engineDelay =
      endedAt - startedAt >= 10_000 || engineDelay === 0 ? 100 : Math.min(engineDelay * 2, 60_000);
    startedAt = endedAt + engineDelay;
    const answersAt = startedAt + START_MS;
    pace.restarted(executor, { endedAt, startedAt: answersAt });
    times.push(answersAt - sessionEnd);
  }
  return times;
}

test("however short sessions are, no reset waits for more than one long run", () => {
  const times = resetTimes(100, 1_000);
  expect(Math.max(...times)).toBeLessThanOrEqual(11_100);
  expect(times.reduce((sum, time) => sum + time, 0) / times.length).toBeLessThan(4_000);
});

test("resets of longer sessions are not held up", () => {
  expect(new Set(resetTimes(10_000, 100))).toEqual(new Set([START_MS + 100]));
});

test("a few short sessions are not held up", () => {
  expect(resetTimes(0, 5)).toEqual([100, 200, 400, 800, 1_600].map((ms) => ms + START_MS));
});
