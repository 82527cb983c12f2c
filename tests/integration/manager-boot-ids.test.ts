import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import { allocationSchema } from "#contract/manager-api.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { startTestManager } from "#tests/support/manager.ts";
import { sendJson, startScriptedExecutor, type Script } from "#tests/support/scripted-executor.ts";
import { until } from "#tests/support/until.ts";

/** An executor that tells a boot id, as ours do, and whose process can be another one from one request to the next. */
function bootable() {
  let life = 1;
  let executions = 0;
  let waiting = 0;
  let faults: Record<string, number> = {};
  let probes = 0;
  const orFail = (script: Script) => (request: IncomingMessage, reply: ServerResponse, body: Buffer) => {
    const left = faults[request.url ?? ""] ?? 0;
    if (left === 0) return script(request, reply, body);
    faults[request.url ?? ""] = left - 1;
    reply.destroy();
  };
  const scripts: Record<string, Script> = {
    "/health": orFail((_, reply) => {
      probes += 1;
      sendJson(reply, {
        status: "ok",
        boot_id: `boot-${life}`,
        kernel: { id: "k", name: "python", state: "idle" },
        memory: { used: null, limit: null },
        executions,
        waiting,
        restarts: 0,
      });
    }),
    "/code-info": orFail((_, reply) =>
      sendJson(reply, { workspace_folder: "/code", executed_files: [], failed: [] }),
    ),
    "/execute": (_, reply) => {
      executions += 1;
      sendJson(reply, { outputs: [] });
    },
  };
  return {
    scripts,
    /** One more execution waits in it. */
    queue() {
      waiting += 1;
    },
    /** Another process takes its place; some of its first answers, by path, break off. */
    bootAnew(breaks: Record<string, number> = {}) {
      life += 1;
      executions = 0;
      waiting = 0;
      faults = { ...breaks };
    },
    probedAgain: async () => {
      const before = probes;
      await until("it was probed twice more", () => probes >= before + 2 || undefined);
    },
  };
}

async function allocate({ url }: RunningManager): Promise<string> {
  const reply = await fetch(`${url}/allocate`, { method: "POST" });
  return allocationSchema.parse(await reply.json()).session_id;
}

const execute = ({ url }: RunningManager, ref: string) =>
  fetch(`${url}/session/${ref}/execute`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: "x",
  });

const untilFree = (manager: RunningManager) =>
  until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);

describe("a session ends with the process that it ran in", () => {
  test.each(["/code-info", "/health?verbose"])(
    "also when the first %s of the next process breaks off",
    async (path) => {
      const process = bootable();
      await using executor = await startScriptedExecutor(process.scripts);
      await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
      await untilFree(manager);
      const session = await allocate(manager);
      expect((await execute(manager, session)).status).toBe(200);

      process.bootAnew({ [path]: 1 });
      await untilFree(manager);
      expect((await execute(manager, session)).status).toBe(410);
    },
  );
});

describe("a healthy new session is not taken for one of an earlier process", () => {
  test("when the process changed while nobody held the executor", async () => {
    const process = bootable();
    await using executor = await startScriptedExecutor(process.scripts);
    await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
    await untilFree(manager);
    const states: string[] = [];
    manager.fleet.onChange(({ state }) => states.push(state.name));
    process.bootAnew();
    await until("it is free again", () => states.includes("free") || undefined);
    expect(states).toEqual(["starting", "free"]);

    const session = await allocate(manager);
    await process.probedAgain();
    expect((await execute(manager, session)).status).toBe(200);
  });

  test("when the process changed during a reset", async () => {
    const process = bootable();
    await using executor = await startScriptedExecutor({
      ...process.scripts,
      "/restart": (_, reply) => {
        process.bootAnew();
        sendJson(reply, { status: "restarting" });
      },
    });
    await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
    await untilFree(manager);
    const first = await allocate(manager);
    await execute(manager, first);
    await fetch(`${manager.url}/deallocate/${first}`, { method: "POST" });

    const second = await allocate(manager);
    await process.probedAgain();
    expect((await execute(manager, second)).status).toBe(200);
  });
});

test("an executor in which something waits already, from before the manager started, is reset", async () => {
  const process = bootable();
  process.queue();
  await using executor = await startScriptedExecutor(process.scripts);
  await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  await untilFree(manager);
  expect(executor.calls).toEqual(["POST /restart"]);
});
