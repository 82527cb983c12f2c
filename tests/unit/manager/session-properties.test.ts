import { setImmediate as nextTurn } from "node:timers/promises";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SessionWorld } from "#tests/support/session-world.ts";

const TYPES = ["python", "python", "python", "typescript"];

const executor = fc.nat({ max: TYPES.length - 1 });
/** Which of the known sessions; taken modulo their number. */
const which = fc.nat({ max: 20 });
const type = fc.constantFrom("python", "typescript", undefined);

const step = fc.oneof(
  fc.record({ does: fc.constant("allocate" as const), type }),
  fc.record({
    does: fc.constant("ensure" as const),
    name: fc.constantFrom("a", "b"),
    namespace: fc.constantFrom("x", "y"),
    detached: fc.boolean(),
  }),
  fc.record({ does: fc.constant("queueUp" as const), type, leaves: fc.boolean() }),
  fc.record({ does: fc.constantFrom("release", "renew", "begin", "finish"), which }),
  fc.record({
    does: fc.constant("advance" as const),
    ms: fc.constantFrom(1, 30_000, 59_999, 60_000, 120_000),
  }),
  fc.record({ does: fc.constantFrom("crash", "silence", "probe"), executor }),
  fc.record({ does: fc.constant("finishReset" as const), succeeds: fc.boolean() }),
  fc.record({ does: fc.constant("killManager" as const) }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function take(world: SessionWorld, one: Step, waiting: Promise<void>[]): Promise<void> {
  switch (one.does) {
    case "allocate":
      return world.allocate(one.type);
    case "ensure":
      return world.ensure(one.name, one.namespace, one.detached);
    case "queueUp": {
      const { leave, served } = world.queueUp(one.type);
      waiting.push(served);
      if (one.leaves) leave();
      return;
    }
    case "release":
    case "renew":
    case "begin":
    case "finish": {
      const { claimed } = world;
      const id = claimed[one.which % Math.max(claimed.length, 1)];
      if (id) world[one.does](id);
      return;
    }
    case "advance":
      return world.advance(one.ms);
    case "crash":
    case "silence":
    case "probe":
      return world[one.does](one.executor);
    case "finishReset":
      return world.finishReset(one.succeeds);
    case "killManager":
      // Clients that waited are gone with their connections.
      world.sessions.refuseWaiting();
      await Promise.all(waiting.splice(0));
      return world.killManager();
  }
}

test("whatever happens, no executor is held twice, none is lost, the counts add up, and ended ids stay dead", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 80, size: "max" }), async (steps) => {
      await using world = new SessionWorld(TYPES);
      const waiting: Promise<void>[] = [];
      await world.settle();
      for (const one of steps) {
        await take(world, one, waiting);
        // Clients learn what came of it.
        await nextTurn();
        world.check();
      }
      // In the end all can be had again.
      world.sessions.refuseWaiting();
      await Promise.all(waiting);
      await world.settle();
      for (const session of world.sessions.all) void world.sessions.end(session, "the test is over");
      await world.settle();
      world.check();
      expect(world.fleet.countByState()).toMatchObject({ free: TYPES.length });
    }),
    { numRuns: 400 },
  );
}, 60_000);
