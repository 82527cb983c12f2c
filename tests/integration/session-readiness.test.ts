import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { executorNumberSchema } from "#contract/ids.ts";
import type { ConnectionStatus } from "#contract/manager-api.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import { startManager } from "#manager/start-manager.ts";
import { startProcessFleet } from "#tests/support/fleets.ts";
import { startTestFleet, startTestManager, testSettings } from "#tests/support/manager.ts";
import { startScriptedExecutor, sendJson } from "#tests/support/scripted-executor.ts";
import { SessionApi } from "#tests/support/session-api.ts";

async function told(url: string, path: string, method = "GET") {
  const reply = await fetch(url + path, { method });
  const text = await reply.text();
  return { status: reply.status, body: text === "" ? undefined : (JSON.parse(text) as unknown) };
}
const ready = (count: number) => ({
  status: 200,
  body: { engine_ok: true, fleet_ok: true, ready_executors: count, namespace: "default" },
});
const connection = (backend: string) => ({
  status: 200,
  body: {
    backend,
    namespace: "default",
    status: "not_connected",
    reason: `the ${backend} backend needs no engine`,
  },
});

describe("where no engine is needed", () => {
  test("a static fleet is ready when its executors are, and says that it has no engine", async () => {
    await using fleet = await startTestFleet(["python", "python"]);
    expect(await told(fleet.url, "/readyz")).toEqual(ready(2));
    expect(await told(fleet.url, "/readyz", "HEAD")).toEqual({ status: 200, body: undefined });
    expect(await told(fleet.url, "/connection")).toEqual(connection("static"));
  });

  test("so is a fleet of processes", async () => {
    await using fleet = await startProcessFleet({ types: ["python"] });
    expect(await told(fleet.url, "/readyz")).toEqual(ready(1));
    expect(await told(fleet.url, "/readyz", "HEAD")).toEqual({ status: 200, body: undefined });
    expect(await told(fleet.url, "/connection")).toEqual(connection("process"));
  });
});

describe("readiness", () => {
  test("counts executors that are held, and does without those that are down", async () => {
    await using fleet = await startTestFleet(["python", "python"]);
    await fleet.run(0, "x = 1");
    await fleet.executor(1).kill();
    await fleet.untilStatus("one is down", (status) => status.unhealthy_containers === 1);
    expect(await told(fleet.url, "/readyz")).toEqual(ready(1));
    await fleet.executor(0).kill();
    await fleet.untilStatus("both are down", (status) => status.unhealthy_containers === 2);
    const down = { engine_ok: true, fleet_ok: false, ready_executors: 0, namespace: "default" };
    expect(await told(fleet.url, "/readyz")).toEqual({ status: 503, body: down });
    expect(await told(fleet.url, "/readyz", "HEAD")).toEqual({ status: 503, body: undefined });
  });

  test("comes with the first executor that has started; until then the manager lives and says 503", async () => {
    let isReady = false;
    await using executor = await startScriptedExecutor({
      "/ready": (_, reply) =>
        sendJson(reply, isReady ? { ready: true } : { ready: false, reason: "code_loading" }),
    });
    await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
    expect(await told(manager.url, "/health")).toMatchObject({ status: 200 });
    expect(await told(manager.url, "/readyz")).toMatchObject({ status: 503, body: { ready_executors: 0 } });
    isReady = true;
    await new SessionApi(manager.url).untilFree(1);
    expect(await told(manager.url, "/readyz")).toEqual(ready(1));
  });
});

describe("where an engine is needed", () => {
  const connected = {
    status: "connected",
    address: "/run/engine.sock",
    engine_version: "1.0",
    resources: { cpus: 2, memory: 1024 },
  } as const;
  const broken = { status: "error", error: "nobody answers", address: "/run/engine.sock" } as const;

  /** A backend that nobody has asked for its connection yet; asking heals it. */
  function healableBackend(): Backend {
    let status: ConnectionStatus = broken;
    return {
      name: "docker",
      warnings: [],
      connection: {
        get status() {
          return status;
        },
        heal: async () => (status = connected),
      },
      plan: async () => [{ number: executorNumberSchema.parse(0), type: "python" }],
      preview: async () => [],
      start: async () => {},
      stop: async () => {},
    };
  }

  test("HEAD tells what is known of the connection, GET heals it first", async () => {
    await using manager = await startManager(testSettings(), healableBackend(), pino({ level: "silent" }));
    const namespace = { namespace: "default" };
    expect(await told(manager.url, "/readyz", "HEAD")).toEqual({ status: 503, body: undefined });
    expect(await told(manager.url, "/connection")).toMatchObject({ body: { ...broken, ...namespace } });
    expect(await told(manager.url, "/readyz")).toEqual({
      status: 503,
      body: { engine_ok: true, fleet_ok: false, ready_executors: 0, ...namespace },
    });
    expect(await told(manager.url, "/connection")).toMatchObject({ body: { ...connected, ...namespace } });
  });
});
