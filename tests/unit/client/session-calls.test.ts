import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import type { FleetClient } from "#client/fleet-client.ts";
import type { Connection, Session } from "#contract/manager-api.ts";
import { clientOf, failureOf, json, serve } from "#tests/support/fake-manager.ts";

const session: Session = {
  session_id: "ses_0",
  name: "mw",
  namespace: "lab",
  state: "open",
  container_id: 0,
  type: "python",
  detached: false,
  idle_timeout: 60,
  env: ["TOKEN"],
  created_at: "2026-01-01T00:00:00Z",
  last_used_at: "2026-01-01T00:00:00Z",
  expires_at: "2026-01-01T00:01:00Z",
  ends_at: null,
  running: 0,
  queued: 0,
};

/** The request that a call sends to a manager that answers so, and what the call resolves to. */
async function sent(call: (client: FleetClient) => Promise<unknown>, status: number, body: unknown) {
  const { promise, resolve } = Promise.withResolvers<{ line: string; text: Promise<string> }>();
  const url = await serve((request, response) => {
    resolve({ line: `${request.method} ${request.url}`, text: text(request) });
    json(response, status, body);
  });
  const result = await call(clientOf(url));
  const request = await promise;
  const sentText = await request.text;
  return {
    result,
    request: { line: request.line, body: sentText === "" ? undefined : JSON.parse(sentText) },
  };
}

describe("a named session", () => {
  test.each([
    [201, true],
    [200, false],
  ])("of status %i tells that it was made now: %j", async (status, created) => {
    const ensure = (client: FleetClient) =>
      client.ensureSession({ name: "mw", namespace: "lab" }, { type: "python", wait: 5 });
    expect(await sent(ensure, status, session)).toEqual({
      result: { session, created },
      request: { line: "PUT /session/mw%40lab", body: { type: "python", wait: 5 } },
    });
  });

  test("of another spec is refused", async () => {
    const url = await serve((_, response) =>
      json(response, 409, { detail: "another spec", code: "conflict" }),
    );
    const error = await failureOf(clientOf(url).ensureSession({ name: "mw" }));
    expect(error).toMatchObject({ status: 409, message: "another spec" });
  });

  test.each<[string, (client: FleetClient) => Promise<unknown>, string, unknown]>([
    ["without a namespace", (client) => client.ensureSession({ name: "mw" }), "PUT /session/mw", {}],
    ["to be shown", (client) => client.session("mw@lab"), "GET /session/mw%40lab", undefined],
    ["to be renewed", (client) => client.renew("mw@lab"), "POST /session/mw%40lab/renew", {}],
    [
      "with new limits",
      (client) => client.renew("ses_0", { idle_timeout: null }),
      "POST /session/ses_0/renew",
      { idle_timeout: null },
    ],
  ])("%s is asked for by its name", async (_what, call, line, body) => {
    expect((await sent(call, 200, session)).request).toEqual({ line, body });
  });

  test("is ended by its name", async () => {
    const ended = { status: "ended", session_id: "ses_0", container_id: 0 };
    expect(await sent((client) => client.endSession("mw@lab"), 200, ended)).toEqual({
      result: ended,
      request: { line: "DELETE /session/mw%40lab", body: undefined },
    });
  });
});

test.each<[string, Parameters<FleetClient["allocate"]>[0], string, unknown]>([
  ["with nothing", undefined, "POST /allocate", undefined],
  [
    "by its type alone, without a body",
    { type: "python", wait: 2 },
    "POST /allocate?container_type=python&wait=2",
    undefined,
  ],
  [
    "with a spec",
    { type: "python", env: { A: "1" }, idle_timeout: null, lifetime: 60, detached: true, wait: 2 },
    "POST /allocate?container_type=python&wait=2",
    { env: { A: "1" }, idle_timeout: null, lifetime: 60, detached: true },
  ],
])("an allocation is asked for %s", async (_, options, line, body) => {
  const reply = { container_id: 0, type: "python", url: "http://x", session_id: "ses_0", expires_at: null };
  expect(await sent((client) => client.allocate(options), 200, reply)).toEqual({
    result: reply,
    request: { line, body },
  });
});

test.each([
  [undefined, "GET /sessions"],
  ["lab", "GET /sessions?namespace=lab"],
])("sessions of namespace %s are asked for by %s", async (namespace, line) => {
  const list = { sessions: [session], singletons: [{ name: "mw", namespace: "lab", state: "opening" }] };
  const call = (client: FleetClient) => client.sessions(namespace === undefined ? {} : { namespace });
  expect(await sent(call, 200, list)).toEqual({ result: list, request: { line, body: undefined } });
});

describe("what the manager says of itself", () => {
  test.each([200, 503])("its readiness is a result with status %i", async (status) => {
    const readiness = { engine_ok: status === 200, fleet_ok: true, ready_executors: 2, namespace: "default" };
    expect((await sent((client) => client.readiness(), status, readiness)).result).toEqual(readiness);
  });

  test("a 503 that is an error stays one", async () => {
    const url = await serve((_, response) =>
      json(response, 503, { detail: "The manager stops", code: "shutting_down" }),
    );
    expect(await failureOf(clientOf(url).readiness())).toMatchObject({ code: "shutting_down", status: 503 });
  });

  test.each<Connection>([
    { status: "not_connected", reason: "not asked for yet", backend: "docker", namespace: "default" },
    { status: "error", error: "ENOENT", address: "/d.sock", backend: "docker", namespace: "lab" },
    {
      status: "connected",
      address: "/d.sock",
      engine_version: "28.0.0",
      resources: { cpus: 2, memory: 1024 },
      backend: "docker",
      namespace: "lab",
    },
  ])("its connection is $status", async (connection) => {
    expect((await sent((client) => client.connection(), 200, connection)).result).toEqual(connection);
  });
});
