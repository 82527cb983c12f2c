import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pino } from "pino";
import { Singletons, type WantedSession } from "#manager/sessions/singletons.ts";
import { SessionWorld } from "#tests/support/session-world.ts";
import { until } from "#tests/support/until.ts";

const MW: WantedSession = { name: { name: "mw", namespace: "lab" }, spec: { detached: true } };
const never = new AbortController().signal;

let world: SessionWorld;
let stop: AbortController;
let ensuring: Promise<void>[];

beforeEach(async () => {
  world = new SessionWorld(["python"]);
  stop = new AbortController();
  ensuring = [];
  await world.settle();
});
afterEach(async () => {
  stop.abort(new Error("the manager stops"));
  await Promise.all(ensuring);
  await world[Symbol.asyncDispose]();
});

/** What a manager that starts does with the sessions of its config. */
function begin(...bootstrap: WantedSession[]): Singletons {
  const { sessions, resolver, store } = world;
  const singletons = new Singletons(bootstrap, { sessions, resolver, store, log: pino({ level: "silent" }) });
  ensuring.push(singletons.ensure(stop.signal));
  return singletons;
}

const untilState = (singletons: Singletons, state: string) =>
  until(`it is ${state}`, () => singletons.list().find((one) => one.state === state));

describe("a session of the config", () => {
  test("is opened as the config says, and told with its id", async () => {
    const told = await untilState(begin({ ...MW, spec: { ...MW.spec, idle_timeout: 5 } }), "open");
    const [session] = world.sessions.all;
    expect(told).toEqual({ name: "mw", namespace: "lab", state: "open", session_id: session?.id });
    expect(session?.terms).toMatchObject({ detached: true, idleTimeoutMs: 5000 });
  });

  test("waits for a free executor, says so, and is opened when there is one", async () => {
    await world.allocate(undefined);
    const singletons = begin(MW);
    expect(singletons.list()).toEqual([
      { name: "mw", namespace: "lab", state: "opening", reason: "it waits for a free executor" },
    ]);
    for (const id of world.claimed) world.release(id);
    await world.settle();
    await untilState(singletons, "open");
  });

  test("that is there with another spec is told to be so, and left as it is", async () => {
    const { session } = await world.resolver.ensure(
      { name: "mw", namespace: "lab" },
      {},
      { waitMs: 0, signal: never },
    );
    const singletons = begin(MW);
    const told = await until("it tells the conflict", () => singletons.list().find(({ reason }) => reason));
    expect(told).toMatchObject({
      state: "open",
      session_id: session.id,
      reason: expect.stringContaining("exists with another spec: it is not detached"),
    });
  });

  test("that cannot be is not said to be on its way", async () => {
    const told = await untilState(begin({ ...MW, spec: { ...MW.spec, type: "cobol" } }), "ended");
    expect(told.reason).toBe("Unknown container type: cobol");
  });

  test("that has ended tells why, and is not opened a second time by the same manager", async () => {
    const singletons = begin({ ...MW, spec: { ...MW.spec, idle_timeout: 60 } });
    await untilState(singletons, "open");
    world.advance(60_000);
    await world.settle();
    expect(singletons.list()).toMatchObject([{ state: "ended", reason: "idle for 60 s" }]);
  });
});

describe("when the manager starts again", () => {
  test("it is the same session, if its executor still has its state", async () => {
    const { session_id } = await untilState(begin(MW), "open");
    await world.killManager();
    const singletons = begin(MW);
    expect(singletons.list()).toMatchObject([{ state: "unreachable", session_id }]);
    world.probe(0);
    expect(await untilState(singletons, "open")).toMatchObject({ session_id });
  });

  test("it is a new one, if its executor was started anew meanwhile", async () => {
    const { session_id } = await untilState(begin(MW), "open");
    world.crash(0);
    await world.killManager();
    const singletons = begin(MW);
    world.probe(0);
    await world.settle();
    const told = await untilState(singletons, "open");
    expect(told.session_id).not.toBe(session_id);
  });
});
