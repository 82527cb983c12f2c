import { setImmediate as nextTurn } from "node:timers/promises";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { endAll, sessionSteps, takeStep } from "#tests/support/session-steps.ts";
import { SessionWorld } from "#tests/support/session-world.ts";

const TYPES = ["python", "python", "python", "typescript"];

test("whatever happens, no executor is held twice, none is lost, the counts add up, and ended ids stay dead", async () => {
  const steps = fc.array(sessionSteps(TYPES.length), { minLength: 1, maxLength: 80, size: "max" });
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      await using world = new SessionWorld(TYPES);
      const waiting: Promise<void>[] = [];
      await world.settle();
      for (const step of all) {
        await takeStep(world, step, waiting);
        // Clients learn what came of it.
        await nextTurn();
        world.check();
      }
      await endAll(world, waiting);
      expect(world.fleet.countByState()).toMatchObject({ free: TYPES.length });
    }),
    { numRuns: 400 },
  );
}, 60_000);
