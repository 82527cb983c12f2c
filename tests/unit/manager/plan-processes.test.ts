import { expect, test } from "vitest";
import { executorNumberSchema } from "#contract/ids.ts";
import { formatPlan, planExecutors, type ObservedExecutor } from "#manager/fleet/process/plan.ts";

const desired = [
  { number: 0, fingerprint: "new" },
  { number: 1, fingerprint: "new" },
];

function observed(
  number: number,
  { running = true, fingerprint = "new" }: { running?: boolean; fingerprint?: string } = {},
): ObservedExecutor {
  const record = {
    number: executorNumberSchema.parse(number),
    type: "python",
    pid: 100 + number,
    startTime: "1",
    socket: `/run/executor-00${number}.sock`,
    token: "secret",
    fingerprint,
  };
  return { record, running };
}

function plan(...executors: ObservedExecutor[]): string {
  return formatPlan(planExecutors(desired, executors)).join("\n");
}

test("where nothing runs, every executor is started", () => {
  expect(plan()).toMatchInlineSnapshot(`
    "start executor 0: no process of it fits
    start executor 1: no process of it fits"
  `);
});

test("executors that fit are kept, with their kernels", () => {
  expect(plan(observed(1), observed(0))).toMatchInlineSnapshot(`
    "keep executor 0: pid 100 runs with the same settings
    keep executor 1: pid 101 runs with the same settings"
  `);
});

test("an executor with other settings is replaced, the removal first", () => {
  expect(plan(observed(1), observed(0, { fingerprint: "old" }))).toMatchInlineSnapshot(`
    "remove executor 0: it was started with other settings (pid 100)
    start executor 0: no process of it fits
    keep executor 1: pid 101 runs with the same settings"
  `);
});

test("what has ended, whatever its settings, makes room for a new one", () => {
  expect(plan(observed(0, { running: false, fingerprint: "old" }), observed(1))).toMatchInlineSnapshot(`
    "remove executor 0: pid 100 has ended
    start executor 0: no process of it fits
    keep executor 1: pid 101 runs with the same settings"
  `);
});

test("an executor of a number that is not wanted is removed", () => {
  expect(plan(observed(0), observed(1), observed(2))).toMatchInlineSnapshot(`
    "remove executor 2: no executor of that number is wanted (pid 102)
    keep executor 0: pid 100 runs with the same settings
    keep executor 1: pid 101 runs with the same settings"
  `);
});
