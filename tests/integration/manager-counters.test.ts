import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Status } from "#contract/manager-api.ts";
import { startTestFleet, type TestFleet } from "#tests/support/manager.ts";

const TYPES = ["python", "python", "typescript"];

const MUCH_MS = 1e9;
/** By how much the manager's clock is ahead. */
let aheadMs = 0;
let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet(TYPES, {
    now: () => Date.now() + aheadMs,
    probe: { intervalMs: 20, startIntervalMs: 5, timeoutMs: 500, resetTimeoutMs: 5_000 },
  });
});
afterAll(() => fleet[Symbol.asyncDispose]());

/** What clients and fate may do, any of it at any time. */
const number = fc.nat({ max: TYPES.length - 1 });
const step = fc.oneof(
  fc.record({ does: fc.constant("allocate" as const), type: fc.constantFrom("python", "typescript") }),
  fc.record({ does: fc.constant("hangUp" as const), type: fc.constantFrom("python", "typescript") }),
  fc.record({ does: fc.constant("execute" as const), number }),
  fc.record({ does: fc.constant("deallocate" as const), number, wait: fc.constantFrom(0, 10) }),
  fc.record({ does: fc.constant("lose" as const), number }),
  fc.record({ does: fc.constant("restart" as const) }),
  fc.record({ does: fc.constant("reap" as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Statuses with which the manager may answer any of this; another one is a fault of its own. */
const REPLIES: ReadonlySet<number> = new Set([200, 400, 410, 503]);

async function take(one: Step): Promise<void> {
  const { manager } = fleet;
  const ok = ({ status }: Response) => expect(REPLIES).toContain(status);
  switch (one.does) {
    case "allocate":
      return ok(await fleet.post(`/allocate?container_type=${one.type}&wait=0.05`));
    case "hangUp": {
      const signal = AbortSignal.timeout(3);
      await fleet.post(`/allocate?container_type=${one.type}&wait=1`, { signal }).then(ok, () => undefined);
      return;
    }
    case "execute":
      return ok(await fleet.post(`/session/${one.number}/execute`, { json: { code: "x = 1" } }));
    case "deallocate":
      return ok(await fleet.post(`/deallocate/${one.number}?wait=${one.wait}`));
    case "lose":
      return manager.fleet.markLost(manager.fleet.get(one.number).number, { reason: "lost by the test" });
    case "restart":
      return ok(await fleet.post("/restart"));
    case "reap":
      aheadMs += MUCH_MS;
      return manager.sessions.reap();
  }
}

function assertAddsUp(status: Status): void {
  const { available_containers: available, allocated_containers: allocated } = status;
  const { starting_containers: starting, resetting_containers: resetting } = status;
  const sum = available + allocated + starting + resetting + status.unhealthy_containers;
  expect(sum).toBe(TYPES.length);
  expect(status.total_containers).toBe(TYPES.length);
  expect(Object.keys(status.available_by_type)).toEqual(["python", "typescript"]);
  expect(Object.values(status.available_by_type).reduce((a, b) => a + b)).toBe(available);
  expect(status.allocated_container_ids).toHaveLength(allocated);
  const held = status.executors.flatMap(({ session_id }) => session_id ?? []);
  expect(new Set(held).size).toBe(held.length);
  expect(held.length).toBeGreaterThanOrEqual(allocated);
}

test("whatever clients do, the counts add up at any moment, and in the end every executor is free again", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      const over = new AbortController();
      const watching = (async () => {
        while (!over.signal.aborted) assertAddsUp(await fleet.status());
      })();
      await Promise.all(steps.map(take)).finally(() => over.abort());
      await watching;

      const settled = await fleet.untilStatus("nothing is under way", (now) => {
        return now.unhealthy_containers + now.resetting_containers === 0;
      });
      assertAddsUp(settled);
      expect((await fleet.post("/restart")).status).toBe(200);
      const free = await fleet.untilStatus(
        "all are free",
        (now) => now.available_containers === TYPES.length,
      );
      assertAddsUp(free);
      expect(free.waiting_allocations).toBe(0);
    }),
    { numRuns: 100, interruptAfterTimeLimit: 20_000 },
  );
});
