import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { sessionSchema } from "#contract/manager-api.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { startTestManager } from "#tests/support/manager.ts";
import { sendJson, startScriptedExecutor, type ScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { SessionApi } from "#tests/support/session-api.ts";

const LONG = "a".repeat(65);

let executors: ScriptedExecutor[];
let manager: RunningManager;
let api: SessionApi;

beforeAll(async () => {
  const echo = { "*": (_: unknown, reply: Parameters<typeof sendJson>[0]) => sendJson(reply, {}) };
  executors = [await startScriptedExecutor(echo), await startScriptedExecutor(echo)];
  const config = Object.fromEntries(executors.map(({ url }, number) => [number, { url, type: "python" }]));
  const lookUp = { tries: 2, backOffMs: 1, totalMs: 50 };
  manager = await startTestManager(config, { namespace: "home", lookUp });
  api = new SessionApi(manager.url);
  await api.untilFree(2);
});
afterAll(async () => {
  await manager[Symbol.asyncDispose]();
  await Promise.all(executors.map((one) => one[Symbol.asyncDispose]()));
});
afterEach(async () => {
  await api.call("POST", "/restart");
  await api.untilFree(2);
});

/** What an executor was asked since. */
function callsOf(number: number) {
  const calls = executors[number]?.calls ?? [];
  const before = calls.length;
  return () => calls.slice(before);
}

describe.each(["mw@lab", "mw%40lab", "the id", "the number"])("a session is meant by %s", (how) => {
  async function open() {
    const { session_id, container_id } = await api.ensure("mw@lab");
    const ref = { "the id": session_id, "the number": String(container_id) }[how] ?? how;
    return { session_id, container_id, ref };
  }

  test("to execute, interrupt, restart and ask it, and for whatever else its executor serves", async () => {
    const { ref, container_id } = await open();
    const calls = callsOf(container_id);
    const asked = ["/execute", "/interrupt", "/restart"].map(
      (path) => ["POST", path, path === "/execute" ? { code: "1" } : undefined] as const,
    );
    for (const [method, path, json] of asked) {
      expect((await api.call(method, `/session/${ref}${path}`, { json })).status).toBe(200);
    }
    for (const path of ["/health", "/ready", "/files/a%2Fb?c=d"]) {
      expect((await api.call("GET", `/session/${ref}${path}`)).status).toBe(200);
    }
    expect((await api.call("PUT", `/session/${ref}/files/a`, { json: {} })).status).toBe(200);
    expect(calls()).toEqual([
      "POST /execute",
      "POST /interrupt",
      "POST /restart",
      "GET /files/a%2Fb",
      "PUT /files/a",
    ]);
  });

  test("to show, renew and end it", async () => {
    const { ref, session_id, container_id } = await open();
    expect(await api.show(ref)).toMatchObject({ session_id, name: "mw", namespace: "lab" });
    const renewed = await api.call("POST", `/session/${ref}/renew`, { json: { idle_timeout: 7 } });
    expect(sessionSchema.parse(await renewed.json())).toMatchObject({ session_id, idle_timeout: 7 });
    const ended = await api.call("DELETE", `/session/${ref}`);
    expect(await ended.json()).toEqual({ status: "ended", session_id, container_id });
    expect(await api.refusal(api.call("GET", `/session/${session_id}`))).toMatch(
      /^410 .*: ended by a client$/,
    );
  });

  test("to deallocate it", async () => {
    const { ref, container_id } = await open();
    const reply = await api.call("POST", `/deallocate/${ref}`);
    expect(await reply.json()).toEqual({ status: "deallocated", container_id });
    expect(await api.refusal(api.call("POST", `/deallocate/${ref}`))).toMatch(
      /^400 not_allocated: .* is not allocated$/,
    );
  });
});

test("a name alone is in the manager's own namespace, which is told", async () => {
  const { session_id } = await api.ensure("mw");
  expect(await api.show("mw@home")).toMatchObject({ session_id, namespace: "home" });
  expect(await (await api.call("GET", "/connection")).json()).toMatchObject({ namespace: "home" });
  expect(await (await api.call("GET", "/readyz")).json()).toMatchObject({ namespace: "home" });
});

describe("a session that has no name", () => {
  test("is listed without one, and found by its id and number", async () => {
    await api.run(1, "1");
    const { sessions } = await api.list();
    expect(sessions).toHaveLength(1);
    expect(sessions[0]).not.toHaveProperty("name");
    expect(await api.show("1")).toEqual(sessions[0]);
    expect((await api.list("?namespace=home")).sessions).toEqual([]);
  });

  test("is not made by looking at its executor", async () => {
    expect(await api.refusal(api.call("GET", "/session/0"))).toBe(
      "404 unknown_session: Container 0 has no session",
    );
    expect(await api.refusal(api.call("DELETE", "/session/9"))).toBe(
      "404 unknown_container: Container 9 not found",
    );
    expect(await api.status()).toMatchObject({ available_containers: 2 });
  });
});

describe("what can be no name is a 422 that says why", () => {
  const NUMBER_OR_ID = "that is an executor number or a session id";
  const LETTERS = "letters, digits, _, . and -, at most 64";

  test.each([
    ["ses_x", "name", NUMBER_OR_ID],
    ["7@lab", "name", NUMBER_OR_ID],
    ["ses_0123456789abcdef01234567", "name", NUMBER_OR_ID],
    ["7", "name", NUMBER_OR_ID],
    ["a%2Fb@lab", "name", LETTERS],
    ["@lab", "name", LETTERS],
    ["mw@", "namespace", LETTERS],
    [`${LONG}@lab`, "name", LETTERS],
    [`mw@${LONG}`, "namespace", LETTERS],
    ["%20", "name", LETTERS],
    ["%00@lab", "name", LETTERS],
  ])("to open: PUT /session/%s", async (name, where, what) => {
    expect(await api.refusal(api.put(name))).toContain(`422 invalid_request: Invalid ${where}: ${what}`);
    expect((await api.list()).sessions).toEqual([]);
  });

  test.each([
    ["GET", ""],
    ["DELETE", ""],
    ["POST", "/renew"],
    ["POST", "/execute"],
    ["GET", "/health"],
    ["PUT", "/files/a"],
  ])("to refer to: %s /session/ses_x%s", async (method, path) => {
    const json = path === "/execute" ? { code: "1" } : undefined;
    const refused = await api.refusal(api.call(method, `/session/ses_x${path}`, { json }));
    expect(refused).toBe(`422 invalid_request: Invalid name: ${NUMBER_OR_ID}`);
  });
});
