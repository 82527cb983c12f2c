import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestFleet, startTestManager, type TestFleet } from "#tests/support/manager.ts";
import { sendJson, startScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { until } from "#tests/support/until.ts";

const MUCH_MS = 1e9;
/** By how much the manager's clock is ahead. */
let aheadMs = 0;
const clock = () => Date.now() + aheadMs;

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet(["python", "python"], { now: clock });
});
afterAll(() => fleet[Symbol.asyncDispose]());
afterEach(() => fleet.post("/restart"));

const printed = (text: string) => JSON.stringify({ outputs: [{ type: "stream", name: "stdout", text }] });

describe("open allocation", () => {
  test("executing on a free executor opens a session on it, which keeps its variables", async () => {
    expect(await fleet.run(1, "x = 42")).toBe('{"outputs":[]}');
    expect(await fleet.run(1, "print(x)")).toBe(printed("42\n"));
    const status = await fleet.status();
    expect(status).toMatchObject({ allocated_container_ids: [1], available_containers: 1 });
    expect(status.executors[1]).toMatchObject({
      state: "allocated",
      session_id: expect.stringMatching(/^ses_/),
    });
  });

  test("one session does not see the variables of another", async () => {
    await fleet.run(0, "x = 42");
    expect(await fleet.run(1, "x")).toContain("NameError");
  });

  test("number and session id address the same session", async () => {
    const { container_id, session_id } = await fleet.allocate();
    await fleet.run(session_id, "x = 7");
    expect(await fleet.run(container_id, "print(x)")).toBe(printed("7\n"));
  });

  test("many calls at once on a free executor open one session, and all run", async () => {
    const replies = await Promise.all(Array.from({ length: 20 }, (_, i) => fleet.run(0, `print(${i})`)));
    expect(replies).toEqual(Array.from({ length: 20 }, (_, i) => printed(`${i}\n`)));
    expect(await fleet.status()).toMatchObject({ allocated_containers: 1 });
  });

  test("calls that come while the executor starts wait for it, share one session, and all run", async () => {
    let ready = false;
    await using executor = await startScriptedExecutor({
      "/ready": (_, reply) => sendJson(reply, ready ? { ready } : { ready, reason: "code_loading" }),
    });
    await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
    const calls = Array.from({ length: 5 }, () =>
      fetch(`${manager.url}/session/0/execute`, {
        method: "POST",
        headers: { "content-type": "text/plain" },
        body: "x",
      }),
    );
    await until("all wait", () => manager.sessions.waiting === 5 || undefined);
    ready = true;
    const statuses = await Promise.all(calls.map(async (call) => (await call).status));
    expect(statuses).toEqual([200, 200, 200, 200, 200]);
    expect(executor.calls.filter((call) => call === "POST /execute")).toHaveLength(5);
    expect(manager.fleet.countByState()).toMatchObject({ allocated: 1 });
  });

  test("an executor that is starting says what it waits for", async () => {
    await using executor = await startScriptedExecutor({
      "/ready": (_, reply) => sendJson(reply, { ready: false, reason: "code_loading" }),
    });
    await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
    const reason = await until("the reason is known", () => {
      const { state } = manager.fleet.get(0);
      return state.name === "starting" && state.reason !== "the fleet starts" ? state.reason : undefined;
    });
    expect(reason).toContain("code_loading");
    expect(manager.fleet.countByState()).toMatchObject({ starting: 1 });
  });

  test("a call that waits for an executor which then fails is refused at once", async () => {
    await using executor = await startScriptedExecutor({
      "/ready": (_, reply) => sendJson(reply, { ready: false }),
    });
    await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
    const call = fetch(`${manager.url}/session/0/execute`, {
      method: "POST",
      headers: { "content-type": "text/plain" },
      body: "x",
    });
    await until("it waits", () => manager.sessions.waiting === 1 || undefined);
    const { number } = manager.fleet.get(0);
    manager.fleet.markLost(number, { reason: "the process ended" });
    expect((await call).status).toBe(503);
  });

  test("a call that comes while the executor is reset runs on the clean kernel", async () => {
    await fleet.run(0, "x = 42");
    const [, reply] = await Promise.all([fleet.post("/deallocate/0"), fleet.run(0, "x")]);
    // Either before the session ended or after the reset, never on what is left of it.
    expect(reply).toMatch(/NameError|"42"|session_ended/);
    expect(await fleet.status()).toMatchObject({ unhealthy_containers: 0 });
  });
});

describe("strict allocation", () => {
  let strict: TestFleet;
  beforeAll(async () => {
    strict = await startTestFleet(["python"], { allocation: "strict" });
  });
  afterAll(() => strict[Symbol.asyncDispose]());

  test("executing without allocating is refused, and opens nothing", async () => {
    const reply = await strict.post("/session/0/execute", { json: { code: "1" } });
    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({
      detail: "Container 0 is not allocated or invalid",
      code: "not_allocated",
    });
    expect(await strict.status()).toMatchObject({ available_containers: 1 });
  });

  test("an allocated executor runs code, by number and by session id, until it is given back", async () => {
    const { session_id } = await strict.allocate();
    await strict.run(session_id, "x = 1");
    expect(await strict.run(0, "print(x)")).toBe(printed("1\n"));
    await strict.post("/deallocate/0");
    expect((await strict.post("/session/0/execute", { json: { code: "1" } })).status).toBe(400);
  });

  test("health and readiness of a free executor are told all the same", async () => {
    expect((await fetch(`${strict.url}/session/0/ready`)).status).toBe(200);
  });
});

describe("idleness", () => {
  test("a session that is idle for too long ends by itself; its executor is free and clean, its id dead", async () => {
    await using quick = await startTestFleet(["python"], { idleTimeoutMs: 200 });
    const { session_id, expires_at } = await quick.allocate();
    expect(Math.abs(Date.parse(expires_at ?? "") - Date.now() - 200)).toBeLessThan(150);
    await quick.run(session_id, "secret = 42");
    await quick.untilStatus("the session has ended", (now) => now.available_containers === 1);
    const reply = await quick.post(`/session/${session_id}/execute`, { json: { code: "secret" } });
    expect(reply.status).toBe(410);
    expect(await reply.json()).toMatchObject({ detail: expect.stringContaining("idle for ") });
    expect(await quick.run(0, "secret")).toContain("NameError");
  });

  test.each(["application/json", "application/x-ndjson"])(
    "a busy session is not idle, however long its run takes (%s)",
    async (accept) => {
      const code = "import time\ntime.sleep(0.4)\nprint('done')";
      const run = fleet.post("/session/0/execute", { json: { code }, headers: { accept } });
      await fleet.untilStatus("it runs", (now) => now.allocated_containers === 1);
      aheadMs = MUCH_MS;
      fleet.manager.sessions.reap();
      expect(await fleet.status()).toMatchObject({ allocated_containers: 1 });
      expect(await (await run).text()).toContain("done");
      aheadMs += MUCH_MS;
      fleet.manager.sessions.reap();
      expect((await fleet.status()).allocated_containers).toBe(0);
    },
  );
});
