import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { allocationSchema, sessionSchema } from "#contract/manager-api.ts";
import { startTestFleet, startTestManager, type TestFleet } from "#tests/support/manager.ts";
import { startScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { SessionApi } from "#tests/support/session-api.ts";
import { until } from "#tests/support/until.ts";

const TEN_MINUTES_MS = 600_000;
/** Of sessions that do not say. */
const IDLE_MS = 60_000;

/** The managers' clock, which stands still but for what a test adds. */
let nowMs = Date.now();
let folder: string;
let fleet: TestFleet;
let api: SessionApi;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "session-limits-"));
  fleet = await startTestFleet(["python", "python"], { now: () => nowMs, idleTimeoutMs: IDLE_MS });
  api = new SessionApi(fleet.url);
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});
afterEach(async () => {
  await fleet.post("/restart");
  await api.untilFree(2);
});

function pass(ms: number): void {
  nowMs += ms;
  fleet.manager.sessions.reap();
}
const iso = (ms: number) => new Date(ms).toISOString();
const renew = (ref: string, limits: object = {}) =>
  api.call("POST", `/session/${ref}/renew`, { json: limits });
const isThere = async (ref: string) => (await api.call("GET", `/session/${ref}`)).status === 200;

/** A cell that runs until it is told to end. */
const longCell = () => {
  const file = join(folder, String(Math.random()));
  const code = `import os, time\nwhile not os.path.exists("${file}"): time.sleep(0.01)\nprint("done")`;
  return { code, end: () => writeFile(file, "") };
};

describe("each session has its own limits", () => {
  test("the manager's idle time where it asks for none, its own where it does", async () => {
    const common = await api.ensure("common");
    const own = await api.ensure("own", { idle_timeout: 90 });
    expect([common.idle_timeout, common.expires_at]).toEqual([60, iso(nowMs + 60_000)]);
    expect([own.idle_timeout, own.expires_at]).toEqual([90, iso(nowMs + 90_000)]);
    pass(59_999);
    expect((await api.list()).sessions).toHaveLength(2);
    pass(1);
    expect((await api.list()).sessions).toMatchObject([{ name: "own" }]);
    pass(30_000);
    expect((await api.list()).sessions).toEqual([]);
    expect(await api.refusal(api.call("GET", `/session/${own.session_id}`))).toBe(
      `410 session_ended: Session ${own.session_id} has ended: idle for 90 s`,
    );
  });

  test("by allocation, too", async () => {
    const json = { idle_timeout: 5, lifetime: 7 };
    const reply = await api.call("POST", "/allocate", { json });
    expect(await reply.json()).toMatchObject({ expires_at: iso(nowMs + 5000) });
    expect((await api.list()).sessions).toMatchObject([{ idle_timeout: 5, ends_at: iso(nowMs + 7000) }]);
  });

  test.each([
    ["its idle time", { idle_timeout: 5, lifetime: 7 }, 5000],
    ["its lifetime", { idle_timeout: 7, lifetime: 5 }, 5000],
    ["its lifetime alone", { idle_timeout: null, lifetime: 5 }, 5000],
    ["the manager's idle time", { lifetime: 1000 }, IDLE_MS],
  ])("and tells when it ends if nothing happens: by %s", async (_, json, ms) => {
    const allocated = allocationSchema.parse(await (await api.call("POST", "/allocate", { json })).json());
    expect(allocated.expires_at).toBe(iso(nowMs + ms));
    expect(await api.show(allocated.session_id)).toMatchObject({ expires_at: iso(nowMs + ms) });
    expect(await isThere(allocated.session_id)).toBe(true);
    pass(ms);
    expect(await isThere(allocated.session_id)).toBe(false);
  });

  test("a lifetime ends it whatever happens in it", async () => {
    const { session_id } = await api.ensure("mw", { lifetime: 100 });
    for (let used = 0; used < 3; used += 1) {
      pass(33_000);
      expect(await api.run("mw", "1")).toContain('"1"');
    }
    pass(1000);
    expect(await api.refusal(api.call("GET", `/session/${session_id}`))).toMatch(
      /has ended: its lifetime is over$/,
    );
  });

  test("no idle time ends one that asks for none, nor one that is detached, unless it asks for it", async () => {
    const never = await api.ensure("never", { idle_timeout: null });
    expect(never).toMatchObject({ expires_at: null });
    pass(1000 * IDLE_MS);
    expect(await isThere("never")).toBe(true);
    await api.call("POST", "/deallocate/never");

    expect(await api.ensure("detached", { detached: true })).toMatchObject({
      expires_at: null,
      detached: true,
    });
    await api.ensure("asks", { detached: true, idle_timeout: 60 });
    pass(1000 * IDLE_MS);
    expect((await api.list()).sessions).toMatchObject([{ name: "detached" }]);
  });
});

describe("what is not idle is not reaped", () => {
  test.each(["application/json", "application/x-ndjson", "text/event-stream"])(
    "a cell that runs for ten minutes (%s)",
    async (accept) => {
      await api.ensure("mw", { idle_timeout: 60 });
      const { code, end } = longCell();
      const reply = api.call("POST", "/session/mw/execute", { json: { code }, headers: { accept } });
      await until("it runs", async () => (await api.show("mw")).running === 1 || undefined);
      pass(TEN_MINUTES_MS);
      expect(await isThere("mw")).toBe(true);
      await end();
      expect(await (await reply).text()).toContain("done");
      // Its idle time begins when it has ended.
      pass(59_999);
      expect(await isThere("mw")).toBe(true);
      pass(60_000);
      expect(await isThere("mw")).toBe(false);
    },
  );

  test("one that waits for its turn", async () => {
    await api.ensure("mw", { idle_timeout: 60 });
    const { code, end } = longCell();
    const runs = [api.run("mw", code), api.run("mw", "print('second')")];
    await until("one waits", async () => (await api.show("mw")).queued === 1 || undefined);
    pass(TEN_MINUTES_MS);
    await end();
    expect((await Promise.all(runs))[1]).toContain("second");
  });
});

test("a stream of its executor that is attached keeps a session, until it is left", async () => {
  await using executor = await startScriptedExecutor({
    "/endless": (_, reply) => void reply.writeHead(200).write("and so on"),
  });
  await using manager = await startTestManager(
    { 0: { url: executor.url, type: "python" } },
    { now: () => nowMs, idleTimeoutMs: IDLE_MS },
  );
  const other = new SessionApi(manager.url);
  await other.untilFree(1);
  await other.ensure("mw");
  const hangUp = new AbortController();
  const reply = await other.call("GET", "/session/mw/endless", { signal: hangUp.signal });
  expect(reply.status).toBe(200);
  nowMs += TEN_MINUTES_MS;
  manager.sessions.reap();
  expect((await other.list()).sessions).toHaveLength(1);
  hangUp.abort();
  await until("nothing uses it", () => manager.sessions.all.every(({ isInUse }) => !isInUse) || undefined);
  nowMs += IDLE_MS;
  manager.sessions.reap();
  expect((await other.list()).sessions).toEqual([]);
});

describe("a renewal", () => {
  test("begins the idle time anew, and takes new limits", async () => {
    const { session_id } = await api.ensure("mw", { lifetime: 100 });
    pass(50_000);
    const renewed = sessionSchema.parse(await (await renew("mw", { idle_timeout: 10, lifetime: 20 })).json());
    expect(renewed).toMatchObject({
      session_id,
      idle_timeout: 10,
      expires_at: iso(nowMs + 10_000),
      ends_at: iso(nowMs + 20_000),
    });
    const forEver = await renew("mw", { idle_timeout: null, lifetime: null });
    expect(await forEver.json()).toMatchObject({ expires_at: null, ends_at: null });
    pass(1000 * IDLE_MS);
    expect(await isThere("mw")).toBe(true);
  });

  test.each([{ idle_timeout: 0 }, { lifetime: -1 }, { idle_timeout: "soon" }, { detached: true }])(
    "with %j is refused, and changes nothing",
    async (limits) => {
      const before = await api.ensure("mw");
      expect((await renew("mw", limits)).status).toBe(422);
      expect(await api.show("mw")).toEqual(before);
    },
  );

  test("a moment before the end is answered with a later one", async () => {
    const { session_id, expires_at } = await api.ensure("mw");
    nowMs += IDLE_MS - 1;
    const renewed = sessionSchema.parse(await (await renew(session_id)).json());
    expect(Date.parse(renewed.expires_at ?? "")).toBe(Date.parse(expires_at ?? "") + IDLE_MS - 1);
    pass(1);
    expect((await renew(session_id)).status).toBe(200);
  });

  test.each([0, 1])("%d ms after the end is answered with 410, for ever", async (after) => {
    const { session_id } = await api.ensure("mw");
    nowMs += IDLE_MS + after;
    for (let again = 0; again < 3; again += 1) expect((await renew(session_id)).status).toBe(410);
  });

  test("that races the reaper, executions and other renewals at the very end: all get one answer", async () => {
    for (const fromEnd of [-1, 0]) {
      const { session_id } = await api.ensure("mw");
      nowMs += IDLE_MS + fromEnd;
      const asked = Array.from({ length: 20 }, (_, index) => {
        fleet.manager.sessions.reap();
        if (index % 2 === 0) return renew(session_id);
        return api.call("POST", `/session/${session_id}/execute`, { json: { code: "1" } });
      });
      fleet.manager.sessions.reap();
      const statuses = new Set((await Promise.all(asked)).map(({ status }) => status));
      expect(statuses).toEqual(new Set([fromEnd < 0 ? 200 : 410]));
      await api.call("POST", `/deallocate/${session_id}`);
    }
  });
});
