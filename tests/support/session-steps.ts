import * as fc from "fast-check";
import type { SessionWorld } from "./session-world.ts";

const type = fc.constantFrom("python", "typescript", undefined);
/** Which of the known sessions; taken modulo their number. */
const which = fc.nat({ max: 20 });

/**
 * Anything that clients, time or misfortune can do to a world of that many executors. Misfortune is rare enough, and
 * found out often enough, for executors to be free most of the time.
 */
export function sessionSteps(executors: number) {
  const executor = fc.nat({ max: executors - 1 });
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ does: fc.constant("allocate" as const), type }) },
    {
      weight: 2,
      arbitrary: fc.record({
        does: fc.constant("ensure" as const),
        name: fc.constantFrom("a", "b"),
        namespace: fc.constantFrom("x", "y"),
        detached: fc.boolean(),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ does: fc.constant("queueUp" as const), type, leaves: fc.boolean() }),
    },
    {
      weight: 8,
      arbitrary: fc.record({ does: fc.constantFrom("release", "renew", "begin", "finish"), which }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        does: fc.constant("advance" as const),
        ms: fc.constantFrom(1, 30_000, 59_999, 60_000, 120_000),
      }),
    },
    { weight: 1, arbitrary: fc.record({ does: fc.constantFrom("crash", "silence"), executor }) },
    { weight: 2 * executors, arbitrary: fc.record({ does: fc.constant("probe" as const), executor }) },
    {
      weight: executors,
      arbitrary: fc.record({
        does: fc.constant("finishReset" as const),
        succeeds: fc.constantFrom(true, true, true, false),
      }),
    },
    { weight: 1, arbitrary: fc.record({ does: fc.constant("killManager" as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        does: fc.constant("setDisk" as const),
        works: fc.constantFrom(true, true, false),
      }),
    },
  );
}
export type SessionStep = ReturnType<typeof sessionSteps> extends fc.Arbitrary<infer T> ? T : never;

/** Takes one step; `waiting` are the clients that wait for an executor. */
export async function takeStep(
  world: SessionWorld,
  step: SessionStep,
  waiting: Promise<void>[],
): Promise<void> {
  switch (step.does) {
    case "allocate":
      return world.allocate(step.type);
    case "ensure":
      return world.ensure(step.name, step.namespace, step.detached);
    case "queueUp": {
      const { leave, served } = world.queueUp(step.type);
      waiting.push(served);
      if (step.leaves) leave();
      return;
    }
    case "release":
    case "renew":
    case "begin":
    case "finish": {
      const { claimed } = world;
      const id = claimed[step.which % Math.max(claimed.length, 1)];
      if (id) world[step.does](id);
      return;
    }
    case "advance":
      return world.advance(step.ms);
    case "crash":
    case "silence":
    case "probe":
      return world[step.does](step.executor);
    case "finishReset":
      return world.finishReset(step.succeeds);
    case "setDisk":
      return world.setDisk(step.works);
    case "killManager":
      // Clients that waited are gone with their connections.
      world.sessions.refuseWaiting();
      await Promise.all(waiting.splice(0));
      return world.killManager();
  }
}

/** Brings a world to its end, at which every executor can be had again. */
export async function endAll(world: SessionWorld, waiting: Promise<void>[]): Promise<void> {
  world.setDisk(true);
  world.sessions.refuseWaiting();
  await Promise.all(waiting);
  await world.settle();
  for (const session of world.sessions.all) void world.sessions.end(session, "the test is over");
  await world.settle();
  world.check();
}
