import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { allocationSchema } from "#contract/manager-api.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { startTestManager } from "#tests/support/manager.ts";
import { sendJson, startScriptedExecutor, type ScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { until } from "#tests/support/until.ts";

let executor: ScriptedExecutor;
let manager: RunningManager;
/** Requests that the executor answers without end. */
let open = 0;

beforeAll(async () => {
  executor = await startScriptedExecutor({
    "/endless": (_, reply) => {
      open += 1;
      reply.once("close", () => (open -= 1));
      reply.writeHead(200).write("and so on");
    },
    "/interrupt": (_, reply) => {
      open += 1;
      reply.once("close", () => (open -= 1));
    },
    "*": (_, reply) => sendJson(reply, {}),
  });
  manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  await untilFree();
});
afterAll(async () => {
  await manager[Symbol.asyncDispose]();
  await executor[Symbol.asyncDispose]();
});
afterEach(async () => {
  await request("POST", "/restart");
  await untilFree();
});

const untilFree = () =>
  until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);
const request = (method: string, path: string) => fetch(manager.url + path, { method });
const allocate = async () =>
  allocationSchema.parse(await (await request("POST", "/allocate")).json()).session_id;

describe("nothing of an ended session reaches the next tenant", () => {
  test.each(["its id", "the executor's number"])("not a stream that it opened by %s", async (by) => {
    const session = await allocate();
    const reply = await request("GET", `/session/${by === "its id" ? session : 0}/endless`);
    expect([reply.status, open]).toEqual([200, 1]);
    await request("POST", `/deallocate/${session}`);
    expect(manager.fleet.countByState().free).toBe(1);
    await expect(reply.text()).rejects.toThrow("terminated");
    await until("the executor sees it", () => open === 0 || undefined);
  });

  test("not an interrupt that is late: it is cut off, and its client told that the session has ended", async () => {
    const session = await allocate();
    const interrupt = request("POST", `/session/${session}/interrupt`);
    await until("the interrupt is under way", () => open === 1 || undefined);
    await request("POST", `/deallocate/${session}`);
    expect((await interrupt).status).toBe(410);
    await until("the executor sees it", () => open === 0 || undefined);
  });
});

describe("an executor that nobody holds", () => {
  test.each([
    ["POST", "/nope"],
    ["PUT", "/files/a"],
    ["PATCH", "/files/a"],
    ["DELETE", "/files/a"],
    ["PUT", "/execute"],
    ["DELETE", "/"],
  ])("takes nothing that could reach its next tenant: %s %s", async (method, path) => {
    const before = executor.calls.length;
    const reply = await request(method, `/session/0${path}`);
    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({
      detail: "Container 0 is not allocated or invalid",
      code: "not_allocated",
    });
    expect(executor.calls).toHaveLength(before);
    expect(manager.fleet.countByState()).toMatchObject({ free: 1, allocated: 0 });
  });

  test.each([
    ["GET", "/files/a"],
    ["HEAD", "/files/a"],
    ["OPTIONS", "/files/a"],
    ["POST", "/restart"],
  ])("answers what leaves nothing in it, and stays free: %s %s", async (method, path) => {
    expect((await request(method, `/session/0${path}`)).status).toBe(200);
    expect(manager.fleet.countByState()).toMatchObject({ free: 1, allocated: 0 });
  });
});

test.each(["GET", "DELETE"])("there is no session to %s on an executor that nobody holds", async (method) => {
  const reply = await request(method, "/session/0");
  expect(reply.status).toBe(404);
  expect(await reply.json()).toMatchObject({
    code: "unknown_session",
    detail: "Container 0 has no session",
  });
  expect(manager.fleet.countByState()).toMatchObject({ free: 1 });
});
