import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import type { Remain } from "./remain.ts";
import { SESSION_VARIABLE, Tenant } from "./tenant.ts";
import { until } from "./until.ts";

/** What two tenants, one after the other on the same executor, saw. */
export interface Sightings {
  /** `there` or `not there`, by kind. */
  byA: ReadonlyMap<string, string>;
  byB: ReadonlyMap<string, string>;
  /** How A's runs ended that ran or were queued when its session ended. */
  endings: string[];
  /** Everything that the replies to A and to B hold. */
  repliesToA: string;
  repliesToB: string;
  firstExecutionCountOfB: number | null;
  /** Whether anything that A had queued ran for B. */
  queuedRan: boolean;
}

const QUEUED = 3;

/**
 * Has tenant A leave everything, and end its session while a cell runs and others are queued; then tenant B looks for it.
 * The fleet has one executor, so that both have the same one.
 */
export async function leaveAndLook(url: string, kinds: readonly Remain[]): Promise<Sightings> {
  const secret = `remains-secret-${randomBytes(16).toString("hex")}`;
  const a = await Tenant.open(url, "a", { env: { [SESSION_VARIABLE]: secret } });
  const byA = await a.leaveAll(kinds);
  const runs = [
    a.ending("import time\nwhile True:\n    time.sleep(60)"),
    ...Array.from({ length: QUEUED }, () => a.ending("import builtins; builtins.left_queued = 1")),
  ];
  await until("a run of A waits for its end, and others for their turn", async () => {
    const { running, queued } = await a.session();
    return (running === 1 && queued === QUEUED) || undefined;
  });
  expect(await a.leave()).toEqual({ status: "deallocated", container_id: 0 });
  const b = await Tenant.open(url, "b");
  const first = await b.run(`import builtins\nassert not hasattr(builtins, "left_queued")`);
  const byB = await b.lookForAll(kinds);
  const last = await b.printed(`print(hasattr(builtins, "left_queued"))`);
  await b.leave();
  return {
    byA,
    byB,
    endings: await Promise.all(runs),
    repliesToA: JSON.stringify(a.replies),
    repliesToB: JSON.stringify(b.replies),
    firstExecutionCountOfB: first.execution_count,
    queuedRan: first.outcome !== "ok" || last !== "False\n",
  };
}

/** One test for each kind. `sightings` is called inside tests only. */
export function testLeaks(kinds: readonly string[], sightings: () => Sightings): void {
  test.each(kinds)("%s", (kind) => {
    const { byA, byB } = sightings();
    expect({ a: byA.get(kind), b: byB.get(kind) }).toEqual({ a: "there", b: "not there" });
  });

  test("late output", () => {
    expect(sightings().repliesToA).toContain("left late");
    expect(sightings().repliesToB).not.toContain("left late");
  });

  test("the execution count", () => {
    expect(sightings().firstExecutionCountOfB).toBe(1);
  });

  test("what it had queued", () => {
    const [running, ...queued] = sightings().endings;
    expect(running).toBe("restarted");
    for (const ending of queued) expect(["restarted", "session_ended"]).toContain(ending);
    expect(sightings().queuedRan).toBe(false);
  });
}
