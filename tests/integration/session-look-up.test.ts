import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startForeignExecutor } from "#tests/support/foreign-executor.ts";
import { ManagerPlace } from "#tests/support/manager-process.ts";
import { startTestFleet, type TestFleet } from "#tests/support/manager.ts";
import { SessionApi } from "#tests/support/session-api.ts";

const LONG_MS = 20_000;
/** As long as a look-up may take here, however many tries and hours it is told to take. */
const QUICK = { tries: 1000, backOffMs: 1, totalMs: 60 };

let fleet: TestFleet;
let api: SessionApi;
let patient: TestFleet;

beforeAll(async () => {
  [fleet, patient] = await Promise.all([
    startTestFleet(["python"], { lookUp: QUICK }),
    startTestFleet(["python"], { lookUp: { tries: 100_000, backOffMs: 1, totalMs: LONG_MS } }),
  ]);
  api = new SessionApi(fleet.url);
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await patient[Symbol.asyncDispose]();
});
afterEach(async () => {
  await fleet.post("/restart");
  await api.untilFree(1);
});

/** The session of a name, asked for in one of the ways there are. */
const ASKS: [string, string, unknown][] = [
  ["GET", "", undefined],
  ["POST", "/execute", { code: "1" }],
  ["GET", "/health", undefined],
];

test("a name that is created while it is looked for is found", async () => {
  const waiting = new SessionApi(patient.url);
  const asked = [
    waiting.run("soon@lab", "print(6 * 7)"),
    waiting.call("GET", "/session/soon@lab").then((reply) => reply.text()),
    waiting.call("GET", "/session/soon@lab/health").then((reply) => reply.text()),
  ];
  const early = await Promise.race([...asked, waiting.ensure("other@lab").then(() => "still looked for")]);
  expect(early).toBe("still looked for");
  await waiting.call("DELETE", "/session/other@lab");
  const { session_id } = await waiting.ensure("soon@lab");
  const [ran, shown, healthy] = await Promise.all(asked);
  expect(ran).toContain("42");
  expect(shown).toContain(session_id);
  expect(healthy).toContain("ok");
});

describe("the error names name, namespace and tries, and the cause:", () => {
  const start = (name: string, namespace = "lab") =>
    `404 unknown_session: There is no session "${name}" in namespace "${namespace}" (`;

  test.each(ASKS)("it was never created (%s %s)", async (method, path, json) => {
    const told = await api.refusal(api.call(method, `/session/never@lab${path}`, { json }));
    expect(told.startsWith(start("never"))).toBe(true);
    expect(told).toMatch(/\(\d+ tries in \d+ ms\)\. Likely cause: it was never created there\.$/);
  });

  test("it ended, when and why", async () => {
    await api.ensure("gone@lab");
    await api.call("POST", "/deallocate/gone@lab");
    const told = await api.refusal(api.call("GET", "/session/gone@lab"));
    expect(told.startsWith(start("gone"))).toBe(true);
    expect(told).toMatch(/Likely cause: it ended at \d{4}-\d\d-\d\dT[\d:.]+Z: deallocated\.$/);
  });

  test("another namespace has one", async () => {
    await api.ensure("mw@lab");
    const told = await api.refusal(api.call("GET", "/session/mw"));
    expect(told.startsWith(start("mw", "default"))).toBe(true);
    expect(told).toMatch(/it was never created there\. Another namespace has one: mw@lab\.$/);
  });

  test("it is being opened", async () => {
    await api.ensure("holds-it@lab");
    const opening = api.put("mw@lab");
    await api.untilWaiting(1);
    const told = await api.refusal(api.call("GET", "/session/mw@lab"));
    expect(told).toMatch(/It is being opened and waits for a free executor\.$/);
    await api.call("DELETE", "/session/holds-it@lab");
    expect((await opening).status).toBe(201);
  });
});

test("hanging up ends the search", async () => {
  const hangUp = new AbortController();
  const waiting = new SessionApi(patient.url);
  const asking = waiting.call("GET", "/session/never@lab", { signal: hangUp.signal });
  await waiting.status();
  hangUp.abort(new Error("hung up"));
  await expect(asking).rejects.toThrow("hung up");
});

describe("auto_create", () => {
  test.each(ASKS)("by request opens a name on the first miss (%s %s)", async (method, path, json) => {
    const reply = await api.call(method, `/session/auto@lab${path}?auto_create=1`, { json });
    expect(reply.status).toBe(200);
    expect((await api.list()).sessions).toMatchObject([{ name: "auto", namespace: "lab" }]);
  });

  test("of many at once opens one session", async () => {
    const ran = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const json = { code: `print(${index})` };
        return (await api.call("POST", "/session/auto@lab/execute?auto_create=true", { json })).status;
      }),
    );
    expect(new Set(ran)).toEqual(new Set([200]));
    expect((await api.list()).sessions).toHaveLength(1);
  });

  test("does not come with ending, renewing and deallocating", async () => {
    await using creating = await startTestFleet(["python"], { autoCreate: true, lookUp: QUICK });
    const other = new SessionApi(creating.url);
    for (const [method, path] of [
      ["DELETE", "/session/auto@lab"],
      ["POST", "/session/auto@lab/renew"],
      ["POST", "/deallocate/auto@lab"],
    ] as const)
      expect(await other.refusal(other.call(method, path))).toMatch(
        /^40[04] (unknown_session|not_allocated): /,
      );
    expect((await other.list()).sessions).toEqual([]);
    // As the manager's setting it is there for all others, unless they say no.
    expect((await other.call("GET", "/session/auto@lab?auto_create=0")).status).toBe(404);
    expect((await other.call("GET", "/session/auto@lab")).status).toBe(200);
    expect(await other.run("auto@lab", "print(6 * 7)")).toContain("42");
  });

  test("is a setting of the manager's environment", async () => {
    await using executor = await startForeignExecutor();
    await using place = await ManagerPlace.make([executor.url]);
    const { api: other } = await place.start({ AUTO_CREATE: "1", FLEET_NAMESPACE: "home" });
    expect(await other.run("auto", "print(6 * 7)")).toContain("42");
    expect((await other.list()).sessions).toMatchObject([{ name: "auto", namespace: "home" }]);
  });

  test("with a word that is neither yes nor no is refused", async () => {
    expect((await api.call("GET", "/session/auto@lab?auto_create=perhaps")).status).toBe(422);
  });
});
