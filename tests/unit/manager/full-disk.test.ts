import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SessionWorld } from "#tests/support/session-world.ts";

let world: SessionWorld;

beforeEach(async () => {
  world = new SessionWorld(["python"]);
  await world.settle();
});
afterEach(() => world[Symbol.asyncDispose]());

/** Opens the one session that there is room for. */
async function opened() {
  await world.allocate("python");
  const [session] = world.sessions.all;
  if (!session) throw new Error("no session was opened");
  return session;
}
const idle = () => world.advance(1e9);

test("a client that wants its session to end is told that it goes on", async () => {
  const session = await opened();
  world.setDisk(false);
  expect(() => world.sessions.end(session, "released")).toThrow(
    expect.objectContaining({ code: "storage_failed", status: 503 }),
  );
  expect(world.sessions.find({ sessionId: session.id }).session).toBe(session);
});

test("a session that is over ends all the same; its executor is cleared when that is on disk", async () => {
  const { id } = await opened();
  world.setDisk(false);
  idle();
  expect(() => world.sessions.find({ sessionId: id })).toThrow("has ended: idle for ");
  await world.finishReset(true);
  expect(world.fleet.get(0).state.name).toBe("resetting");
  world.setDisk(true);
  await world.finishReset(true);
  world.check();
  expect(world.fleet.get(0).state.name).toBe("free");
});

test("an executor that was lost meanwhile serves the next session", async () => {
  const { id } = await opened();
  world.setDisk(false);
  world.crash(0);
  world.probe(0);
  expect(() => world.sessions.find({ sessionId: id })).toThrow("executor lost: crashed by the test");
  world.setDisk(true);
  const next = await opened();
  expect(next.id).not.toBe(id);
  world.check();
  await world.killManager();
  world.probe(0);
  expect(world.sessions.all.map((session) => session.id)).toEqual([next.id]);
});

test("who waits for an executor is told at once why there is no session, and the executor stays free", async () => {
  const session = await opened();
  const waiting = world.sessions.allocate({}, { waitMs: 1e6, signal: new AbortController().signal });
  const refused = waiting.catch((error: unknown) => error);
  void world.sessions.end(session, "released");
  world.setDisk(false);
  await world.finishReset(true);
  expect(await refused).toMatchObject({ code: "storage_failed" });
  await nextTurn();
  expect(world.fleet.get(0).state.name).toBe("free");
});

test("a manager that stops ends what is not detached, and tells what is left", async () => {
  const session = await opened();
  world.setDisk(false);
  expect(world.sessions.close()).toEqual([]);
  expect(session.state).toEqual({ name: "ended", reason: "the manager stopped" });
});
