import { expect, test } from "vitest";
import type { ObservedContainer } from "#manager/fleet/docker/engine.ts";
import { formatPlan, planContainers } from "#manager/fleet/docker/plan.ts";

const desired = [
  { number: 0, fingerprint: "new" },
  { number: 1, fingerprint: "new" },
];

function observed(
  number: number | string,
  changes: Partial<ObservedContainer> & { fingerprint?: string } = {},
) {
  const { fingerprint = "new", ...rest } = changes;
  return {
    id: `id-${number}`,
    name: `fleet-a-${number}`,
    labels: { "fleet.id": "a", "fleet.executor": String(number), "fleet.fingerprint": fingerprint },
    running: true,
    ...rest,
  };
}

function plan(...containers: ObservedContainer[]): string {
  return formatPlan(planContainers(desired, containers));
}

test("an empty engine gets every executor", () => {
  expect(plan()).toMatchInlineSnapshot(`
    "create executor 0: no container of it fits
    create executor 1: no container of it fits"
  `);
});

test("a fleet that is as it should be is left alone, with its kernels", () => {
  expect(plan(observed(0), observed(1))).toBe("");
});

test("a stopped container is started, not made anew", () => {
  expect(plan(observed(0), observed(1, { running: false }))).toMatchInlineSnapshot(
    `"start fleet-a-1: it is stopped"`,
  );
});

test("a container made with other settings is replaced, the removal first", () => {
  expect(plan(observed(1), observed(0, { fingerprint: "old" }))).toMatchInlineSnapshot(`
    "remove fleet-a-0: it was made with other settings
    create executor 0: no container of it fits"
  `);
});

test("containers that no executor needs are removed: surplus, twins, and ones without a number", () => {
  const twin = observed(1, { id: "id-twin", name: "fleet-a-twin" });
  expect(plan(observed(0), observed(1), twin, observed(7), observed("x"))).toMatchInlineSnapshot(`
    "remove fleet-a-twin: fleet-a-1 serves that number already
    remove fleet-a-7: no executor of that number is wanted
    remove fleet-a-x: no executor of that number is wanted"
  `);
});
