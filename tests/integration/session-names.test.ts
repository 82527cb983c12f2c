import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { sessionSchema } from "#contract/manager-api.ts";
import { startTestFleet, type TestFleet } from "#tests/support/manager.ts";
import { SessionApi } from "#tests/support/session-api.ts";

let fleet: TestFleet;
let api: SessionApi;

beforeAll(async () => {
  fleet = await startTestFleet(["python", "python"]);
  api = new SessionApi(fleet.url);
});
afterAll(() => fleet[Symbol.asyncDispose]());
afterEach(async () => {
  await fleet.post("/restart");
  await api.untilFree(2);
});

const idsOf = async (replies: Response[]) =>
  new Set(
    await Promise.all(replies.map(async (reply) => sessionSchema.parse(await reply.json()).session_id)),
  );
const statusesOf = (replies: Response[]) => replies.map(({ status }) => status).toSorted((a, b) => a - b);
const created = (count: number) => [...Array<number>(count - 1).fill(200), 201];

/** Takes every executor; tells how to give them back. */
async function occupy() {
  const held = [await fleet.allocate(), await fleet.allocate()];
  return async () => {
    for (const { session_id } of held) await fleet.post(`/deallocate/${session_id}`);
  };
}

describe("whoever asks for a name gets the same session", () => {
  test("50 at once: one session, one executor, exactly one 201", async () => {
    const replies = await Promise.all(Array.from({ length: 50 }, () => api.put("mw@lab")));
    expect(statusesOf(replies)).toEqual(created(50));
    expect((await idsOf(replies)).size).toBe(1);
    expect(await api.status()).toMatchObject({ allocated_containers: 1, available_containers: 1 });
    expect((await api.list()).sessions).toMatchObject([{ name: "mw", namespace: "lab", state: "open" }]);
  });

  test("one name in two namespaces is two sessions, each with its own variables", async () => {
    const [a, b] = await Promise.all([api.ensure("mw@a"), api.ensure("mw@b")]);
    expect(a.session_id).not.toBe(b.session_id);
    await api.run("mw@a", "x = 1");
    expect(await api.run("mw@b", "x")).toContain("NameError");
    expect((await api.list("?namespace=a")).sessions).toMatchObject([{ session_id: a.session_id }]);
  });

  test("a name is free again when its session has ended", async () => {
    const first = await api.ensure("mw@lab");
    await api.call("DELETE", "/session/mw@lab");
    const second = await api.put("mw@lab");
    expect(second.status).toBe(201);
    expect(await idsOf([second])).not.toContain(first.session_id);
  });
});

describe("another spec", () => {
  test("is a 409 that names each difference, and leaves the session as it is", async () => {
    await api.ensure("mw@lab", { type: "python", idle_timeout: 60 });
    const other = { type: "typescript", idle_timeout: 61, lifetime: 5, detached: true, env: { A: "secret" } };
    expect(await api.refusal(api.put("mw@lab", other))).toBe(
      "409 session_conflict: Session mw@lab exists with another spec: type is python, not typescript; " +
        "idle_timeout is 60 s, not 61 s; lifetime is never, not 5 s; it is not detached; env has other variables or values",
    );
    expect((await api.put("mw@lab", { type: "python", idle_timeout: 60 })).status).toBe(200);
    expect((await api.put("mw@lab")).status).toBe(200);
  });

  test("is one also while a busy fleet is waited for", async () => {
    const giveBack = await occupy();
    const first = api.put("mw@lab");
    await api.untilWaiting(1);
    expect(await api.refusal(api.put("mw@lab", { detached: true }))).toMatch(/^409 .*: it is not detached$/);
    await giveBack();
    expect((await first).status).toBe(201);
  });

  test.each([
    ["no JSON", "{", /^422 malformed_json: not JSON/],
    ["an unknown word", '{"idle":1}', /^422 invalid_request: .*"idle"/],
    ["a type that there is not", '{"type":"cobol"}', /^400 unknown_type: Unknown container type: cobol$/],
  ])("that is %s is refused", async (_, body, message) => {
    const reply = fetch(`${fleet.url}/session/mw@lab`, { method: "PUT", body });
    expect(await api.refusal(reply)).toMatch(message);
    expect((await api.list()).sessions).toEqual([]);
  });
});

describe("a busy fleet", () => {
  test("is waited for by all together; callers that leave meanwhile spoil nothing for the others", async () => {
    const giveBack = await occupy();
    const hangUp = new AbortController();
    const gone = Array.from({ length: 20 }, () => api.put("mw@lab", {}, hangUp.signal).catch(() => "gone"));
    const late = Array.from({ length: 10 }, () => api.refusal(api.put("mw@lab", { wait: 0.05 })));
    const stay = Array.from({ length: 20 }, () => api.put("mw@lab"));
    await api.untilWaiting(1);
    const inVain = "503 no_executor_free: No executor became free within 0.05 s for session mw@lab";
    expect(new Set(await Promise.all(late))).toEqual(new Set([inVain]));
    hangUp.abort();
    expect(new Set(await Promise.all(gone))).toEqual(new Set(["gone"]));
    expect(await api.status()).toMatchObject({ waiting_allocations: 1 });
    await giveBack();
    const replies = await Promise.all(stay);
    expect(statusesOf(replies)).toEqual(created(20));
    expect((await idsOf(replies)).size).toBe(1);
    await api.untilFree(1);
  });

  test("is free afterwards when all have left", async () => {
    const giveBack = await occupy();
    const hangUp = new AbortController();
    const gone = Array.from({ length: 20 }, () => api.put("mw@lab", {}, hangUp.signal).catch(() => "gone"));
    await api.untilWaiting(1);
    hangUp.abort();
    await Promise.all(gone);
    await api.untilWaiting(0);
    await giveBack();
    await api.untilFree(2);
    expect((await api.list()).sessions).toEqual([]);
    // What they began does not stand in the way of the next one.
    expect((await api.put("mw@lab")).status).toBe(201);
  });

  test("that takes no more who wait says when to come back", async () => {
    await using small = await startTestFleet(["python"], { maxWaiting: 1 });
    const busy = new SessionApi(small.url);
    const { session_id } = await small.allocate();
    const waiting = busy.put("a");
    await busy.untilWaiting(1);
    const refused = await busy.put("b");
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
    await small.post(`/deallocate/${session_id}`);
    expect((await waiting).status).toBe(201);
  });
});
