import { pino } from "pino";
import { expect, test } from "vitest";
import { executorNumberSchema, newSessionId } from "#contract/ids.ts";
import { Fleet } from "#manager/fleet/fleet.ts";
import { Resetter } from "#manager/fleet/reset.ts";
import { StaticBackend } from "#manager/fleet/static-backend.ts";
import { startTestManager } from "#tests/support/manager.ts";
import { sendJson, startScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { until } from "#tests/support/until.ts";

const post = (url: string, json?: unknown, signal?: AbortSignal) =>
  fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    ...(signal ? { signal } : {}),
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });

test("a run that a reset overtakes cannot leave anything in the next tenant's kernel", async () => {
  let finishRun = () => {};
  await using executor = await startScriptedExecutor({
    // Answers only after the restart: as if it had waited for the restart and run on the fresh kernel.
    "/execute": (_, reply) => {
      finishRun = () => sendJson(reply, { outputs: [] });
    },
    "/ready": (_, reply) => {
      finishRun();
      finishRun = () => {};
      sendJson(reply, { ready: true });
    },
  });
  await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  await until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);
  executor.calls.length = 0;

  const run = post(`${manager.url}/session/0/execute`, { code: "leak = 1" });
  await until("the run has arrived", () => executor.calls.includes("POST /execute") || undefined);
  const deallocation = await post(`${manager.url}/deallocate/0`);
  expect(await deallocation.json()).toEqual({ status: "deallocated", container_id: 0 });
  expect((await run).status).toBe(200);
  expect(executor.calls).toEqual(["POST /execute", "POST /restart", "POST /restart"]);
});

test("an executor that goes on running what its session left is cut off: the client is told `restarted`", async () => {
  await using executor = await startScriptedExecutor({ "/execute": () => {} });
  await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  await until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);

  for (const accept of ["application/json", "application/x-ndjson"]) {
    const run = fetch(`${manager.url}/session/0/execute`, {
      method: "POST",
      headers: { "content-type": "text/plain", accept },
      body: "while True: pass",
    });
    const before = executor.calls.length;
    await until("the run has arrived", () => executor.calls.includes("POST /execute", before) || undefined);
    await post(`${manager.url}/deallocate/0`);
    expect(manager.fleet.countByState()).toMatchObject({ free: 1 });
    expect(await (await run).text()).toContain('"outcome":"restarted"');
  }
});

test("a deallocation with nothing under way restarts the kernel once", async () => {
  await using executor = await startScriptedExecutor({});
  await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  await until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);
  executor.calls.length = 0;
  await post(`${manager.url}/session/0/execute`, { code: "x = 1" });
  await post(`${manager.url}/deallocate/0`);
  expect(executor.calls).toEqual(["POST /execute", "POST /restart"]);
});

test("a reset that outlives the loss of its executor does not spoil what came after", async () => {
  await using executor = await startScriptedExecutor({});
  await using fleet = new Fleet(pino({ level: "silent" }));
  const number = executorNumberSchema.parse(0);
  fleet.add([{ number, type: "python" }]);
  const held = fleet.get(0);
  await held.place({ url: executor.url });
  fleet.changeState(held, { name: "free" });
  fleet.changeState(held, { name: "allocated", sessionId: newSessionId() });
  const backend = new StaticBackend("not read");
  const resetter = new Resetter(fleet, backend, { timeoutMs: 5_000, stop: new AbortController().signal });
  await resetter.reset(held, {
    reason: "session deallocated",
    settled: async () => {
      fleet.markLost(number, { reason: "lost by the test" });
      fleet.changeState(held, { name: "free" });
    },
  });
  expect(held.state).toEqual({ name: "free" });
});

test("a deallocation is not waited for any longer when its client hangs up, and the reset goes on", async () => {
  let ready = true;
  await using executor = await startScriptedExecutor({ "/ready": (_, reply) => sendJson(reply, { ready }) });
  await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  await until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);
  await post(`${manager.url}/allocate`);
  ready = false;
  const hangUp = new AbortController();
  const deallocation = post(`${manager.url}/deallocate/0?wait=60`, undefined, hangUp.signal);
  await until("the reset is under way", () => manager.fleet.countByState().resetting === 1 || undefined);
  hangUp.abort();
  await expect(deallocation).rejects.toThrow("aborted");
  ready = true;
  await until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);
});

test("a manager that stops does not wait for a reset that hangs, and leaves the executor's state alone", async () => {
  // It was used before, so that the prober resets it.
  await using executor = await startScriptedExecutor({ "/restart": () => {} });
  const manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  await until("the reset hangs", () => executor.calls.includes("POST /restart") || undefined);
  const startedAt = performance.now();
  await manager[Symbol.asyncDispose]();
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  expect(manager.fleet.get(0).state.name).toBe("resetting");
});
