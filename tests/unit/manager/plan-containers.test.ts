import { expect, test } from "vitest";
import type { ObservedContainer } from "#manager/fleet/docker/engine.ts";
import { formatPlan, planContainers } from "#manager/fleet/docker/plan.ts";

const desired = [
  { number: 0, name: "fleet-a-0", fingerprint: "new" },
  { number: 1, name: "fleet-a-1", fingerprint: "new" },
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
    dead: false,
    ...rest,
  };
}

function plan(...containers: ObservedContainer[]): string {
  return formatPlan(planContainers(desired, containers));
}

test("an empty engine gets every executor", () => {
  expect(plan()).toMatchInlineSnapshot(`
    "create fleet-a-0: executor 0 has no container
    create fleet-a-1: executor 1 has no container"
  `);
});

test("a fleet that is as it should be is left alone, with its kernels", () => {
  expect(plan(observed(0), observed(1))).toMatchInlineSnapshot(`
    "keep fleet-a-0: it runs and fits
    keep fleet-a-1: it runs and fits"
  `);
});

test("a stopped container is started, not made anew", () => {
  expect(plan(observed(0), observed(1, { running: false }))).toMatchInlineSnapshot(`
    "keep fleet-a-0: it runs and fits
    start fleet-a-1: it is stopped"
  `);
});

test("a container made with other settings is replaced, the removal first", () => {
  expect(plan(observed(1), observed(0, { fingerprint: "old" }))).toMatchInlineSnapshot(`
    "remove fleet-a-0: it was made with other settings
    create fleet-a-0: no container of executor 0 fits
    keep fleet-a-1: it runs and fits"
  `);
});

test("a container that is dead, or just being removed, is replaced", () => {
  expect(plan(observed(0), observed(1, { running: false, dead: true }))).toMatchInlineSnapshot(`
    "remove fleet-a-1: it is dead
    keep fleet-a-0: it runs and fits
    create fleet-a-1: no container of executor 1 fits"
  `);
});

test("containers that no executor needs are removed: surplus, twins, and ones without a number", () => {
  const twin = observed(1, { id: "id-twin", name: "fleet-a-twin" });
  expect(plan(observed(0), observed(1), twin, observed(7), observed("x"), observed("")))
    .toMatchInlineSnapshot(`
    "remove fleet-a-twin: fleet-a-1 serves that number already
    remove fleet-a-7: no executor of that number is wanted
    remove fleet-a-x: no executor of that number is wanted
    remove fleet-a-: no executor of that number is wanted
    keep fleet-a-0: it runs and fits
    keep fleet-a-1: it runs and fits"
  `);
});
