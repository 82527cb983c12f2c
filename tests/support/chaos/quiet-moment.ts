import { until } from "#tests/support/until.ts";
import { Causes } from "./causes.ts";
import type { ChaosWorld } from "./chaos-world.ts";
import { holdSum } from "./hold-answers.ts";
import { hold } from "./journal.ts";
import type { RememberedSession } from "./remembered-session.ts";

const CALM_DEADLINE_MS = 90_000;
/** How many of the sessions that ended long ago are asked for again. */
const OLD_ENDS = 5;

/**
 * Waits until the fleet is at rest, and holds everything that there is against what clients were told. Nothing else
 * goes on meanwhile.
 *
 * @throws {Violation}
 */
export async function holdQuietMoment(world: ChaosWorld, { all = false } = {}): Promise<void> {
  world.journal.note(`quiet, after ${world.causes.text}`);
  // What nobody has noticed yet, such as the end of a container just now, is found by using everything once.
  await until("everything that is used is at rest", () => useAll(world), CALM_DEADLINE_MS);
  const live = [...world.sessions.values()].filter(({ isOver }) => !isOver);
  await holdTable(world, live);
  await holdEnds(world, all);
  for (const session of world.sessions.values()) session.isQuiet();
  world.causes = new Causes();
  world.journal.note("all is well");
}

/** Resolves to true when every session and every free executor answers, and containers and states did not change. */
async function useAll(world: ChaosWorld): Promise<true | undefined> {
  const before = await restOf(world);
  if (before === undefined) return undefined;
  for (const session of world.sessions.values()) {
    if (session.isOver) continue;
    const run = await world.run(session, { token: world.token("check/") });
    // Otherwise it is told as ended the next time.
    if (!session.isOver && (run.kind !== "ended" || run.outcome !== "ok")) return undefined;
  }
  const { client } = await world.fleet.manager();
  for (const number of before.free) {
    const ready = await client.ready(number).catch(() => undefined);
    if (!ready?.ready) return undefined;
  }
  return (await restOf(world))?.told === before.told || undefined;
}

/** The executors and containers when they are at rest. */
async function restOf({ fleet }: ChaosWorld): Promise<{ free: number[]; told: string } | undefined> {
  const { client } = await fleet.manager();
  const status = await client.status();
  holdSum(status);
  const free = status.executors.filter(({ state }) => state === "free");
  if (free.length + status.allocated_containers !== fleet.executors) return undefined;
  const containers = await fleet.containers();
  if (containers.length !== fleet.executors || !containers.every(({ running }) => running)) return undefined;
  const told = JSON.stringify([status.executors, containers.map(({ id }) => id)]);
  return { free: free.map(({ container_id }) => container_id), told };
}

/** The table has the sessions that clients know, each on an executor of its own. */
async function holdTable(world: ChaosWorld, live: readonly RememberedSession[]): Promise<void> {
  const { client } = await world.fleet.manager();
  const { sessions } = await client.sessions();
  const status = await client.status();
  const said = `after ${world.causes.text} the table is ${JSON.stringify(sessions)}`;
  for (const { id, executor } of live) {
    const listed = sessions.find(({ session_id }) => session_id === id);
    hold(listed?.state === "open" && listed.container_id === executor, `${said}: it lacks ${id}`);
  }
  hold(new Set(sessions.map(({ container_id }) => container_id)).size === sessions.length, `${said}: shared`);
  const held = status.executors.flatMap(({ container_id, session_id }) =>
    session_id === undefined ? [] : [`${container_id} ${session_id}`],
  );
  const listed = sessions.map(({ container_id, session_id }) => `${container_id} ${session_id}`);
  hold(
    held.toSorted().join() === listed.toSorted().join(),
    `${said}, and the status ${JSON.stringify(status)}`,
  );
  const numbers = (await world.fleet.containers()).map(({ name }) => name.slice(-3)).toSorted();
  const expected = Array.from({ length: world.fleet.executors }, (_, number) =>
    String(number).padStart(3, "0"),
  );
  hold(numbers.join() === expected.join(), `the containers are ${numbers.join()}`);
  const unknown = sessions.filter(({ session_id }) => !world.sessions.has(session_id));
  hold(unknown.length <= world.untold, `${said}: nobody opened ${JSON.stringify(unknown)}`);
  // A client finds the one that has its name. The others nobody can know.
  world.untold = unknown.filter(({ name }) => name !== undefined).length;
  for (const { name, session_id } of unknown) {
    if (name !== undefined) continue;
    world.journal.count("ends", "nobody was told of it: ended by the test");
    await client.endSession(session_id);
  }
}

/** What has ended stays ended, for the same reason; what was lost is lost. */
async function holdEnds(world: ChaosWorld, all: boolean): Promise<void> {
  const over = [...world.sessions.values()].filter(({ isOver }) => isOver);
  const fresh = over.filter((session) => !session.wasHeld);
  const old = over.filter((session) => session.wasHeld);
  const asked = all ? over : [...fresh, ...old.slice(-OLD_ENDS)];
  for (const session of asked) {
    await world.callSession(session, "show", ({ client }, signal) => client.session(session.id, { signal }));
  }
  for (const session of fresh) {
    session.wasHeld = true;
    const { endReason = "", executor, life } = session;
    world.journal.count("ends", endReason);
    if (!endReason.startsWith("executor") || life === undefined) continue;
    const now = await world.fleet.lifeOf(executor);
    hold(now !== life, `${session.label} has ended (${endReason}), and its executor's process lives on`);
  }
}
