import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { decodeNdjson } from "#contract/events.ts";
import { executeReplySchema } from "#contract/execution.ts";
import { startTestFleet, type TestFleet } from "#tests/support/manager.ts";
import { until } from "#tests/support/until.ts";

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet(["python", "python"], {
    probe: { intervalMs: 100, startIntervalMs: 10, timeoutMs: 300, resetTimeoutMs: 2_000 },
  });
});
afterAll(() => fleet[Symbol.asyncDispose]());
afterEach(async () => {
  await fleet.executor(0).startAgain();
  await fleet.post("/restart");
  await fleet.untilStatus("all are free", (now) => now.available_containers === 2);
});

const down = () => fleet.untilStatus("the executor is down", (now) => now.unhealthy_containers === 1);

/** A run that lasts until its executor is killed; resolves when the code runs. */
async function startRun(accept: string): Promise<{ reply: Promise<Response> }> {
  const marker = `running-${crypto.randomUUID()}`;
  const code = `import time, __main__; __main__.REFUSE.add("/${marker}"); time.sleep(60)`;
  const reply = fleet.post("/session/0/execute", { json: { code }, headers: { accept } });
  reply.catch(() => undefined);
  await until("the code runs", async () => {
    const probe = await fetch(`${fleet.url}/session/0/${marker}`);
    await probe.text();
    return probe.status === 500 || undefined;
  });
  return { reply };
}

describe("an executor that is killed under a run ends it with exactly one outcome, executor_lost", () => {
  test("as JSON", async () => {
    const { reply } = await startRun("application/json");
    await fleet.executor(0).kill();
    const { status, headers } = await reply;
    expect([status, headers.get("content-type")]).toEqual([200, "application/json"]);
    const { outputs, ...end } = executeReplySchema.parse(await (await reply).json());
    expect(outputs).toEqual([
      { type: "error", name: "ExecutorLost", value: expect.stringContaining("lost"), traceback: [] },
    ]);
    expect(end).toMatchObject({ outcome: "executor_lost", execution_count: null });
  });

  test("as NDJSON", async () => {
    const { reply } = await startRun("application/x-ndjson");
    await fleet.executor(0).kill();
    const { status, body } = await reply;
    expect(status).toBe(200);
    const events = await Array.fromAsync(decodeNdjson(body ?? new ReadableStream()));
    expect(events).toEqual([
      { seq: 0, type: "output", output: expect.objectContaining({ name: "ExecutorLost" }) },
      expect.objectContaining({ seq: 1, type: "outcome", outcome: "executor_lost" }),
    ]);
  });

  test("as server-sent events", async () => {
    const { reply } = await startRun("text/event-stream");
    await fleet.executor(0).kill();
    const text = await (await reply).text();
    expect(text.match(/^event: .*$/gm)).toEqual(["event: output", "event: outcome"]);
    expect(text.match(/executor_lost/g)).toHaveLength(1);
  });

  test("its loss is known at once: the next call is refused instead of running somewhere else", async () => {
    const { reply } = await startRun("application/json");
    await fleet.executor(0).kill();
    await reply;
    expect((await fleet.status()).executors[0]).toMatchObject({ state: "unhealthy" });
    expect((await fleet.post("/session/0/execute", { json: { code: "1" } })).status).toBe(503);
  });

  test("what waited behind it did not run: 503, not an outcome", async () => {
    const { reply } = await startRun("application/json");
    const waiting = fleet.post("/session/0/execute", { json: { code: "1" } });
    await until("the second run waits", () => {
      const { session } = fleet.manager.sessions.find({ executorNumber: fleet.manager.fleet.get(0).number });
      return session?.queued === 1 || undefined;
    });
    await fleet.executor(0).kill();
    await reply;
    expect((await waiting).status).toBe(503);
    expect(await (await waiting).json()).toMatchObject({ code: "executor_unavailable" });
  });
});

describe("an executor that is down", () => {
  test("is told as 503 on every path, and its neighbour goes on", async () => {
    await fleet.executor(0).kill();
    await down();
    const replies = [
      await fetch(`${fleet.url}/session/0/health`),
      await fetch(`${fleet.url}/session/0/ready`),
      await fleet.post("/session/0/restart"),
      await fleet.post("/session/0/execute", { json: { code: "1" } }),
    ];
    for (const reply of replies) {
      expect(reply.status).toBe(503);
      expect(await reply.json()).toMatchObject({
        detail: "Container 0 is not available",
        code: "executor_unavailable",
      });
    }
    expect(await fleet.run(1, "print(1)")).toBe(
      '{"outputs":[{"type":"stream","name":"stdout","text":"1\\n"}]}',
    );
  });

  test("carries its reason in the status, and the counts add up", async () => {
    await fleet.executor(0).kill();
    const status = await down();
    expect(status).toMatchObject({ available_containers: 1, total_containers: 2 });
    expect(status.executors[0]).toMatchObject({ reason: expect.stringContaining("ECONNREFUSED") });
  });

  test("is refused even before a probe has noticed: 503, because nothing ran", async () => {
    await fleet.run(0, "x = 1");
    await fleet.executor(0).kill();
    const reply = await fleet.post("/session/0/execute", { json: { code: "x" } });
    expect(reply.status).toBe(503);
  });

  test("is never allocated", async () => {
    await fleet.executor(0).kill();
    await down();
    expect(await (await fleet.post("/allocate")).json()).toMatchObject({ container_id: 1 });
    expect((await fleet.post("/allocate")).status).toBe(503);
  });

  test("comes back free and clean when it is started again; its session has ended", async () => {
    const { container_id, session_id } = await fleet.allocate();
    await fleet.run(session_id, "x = 1");
    await fleet.executor(container_id).kill();
    await down();
    await fleet.executor(container_id).startAgain();
    await fleet.untilStatus("it is back", (now) => now.available_containers === 2);
    expect((await fleet.post(`/session/${session_id}/execute`, { json: { code: "x" } })).status).toBe(410);
    expect(await fleet.run(container_id, "x")).toContain("NameError");
  });
});

describe("restarting", () => {
  test("a failed executor does not lose it", async () => {
    await fleet.run(0, "x = 1");
    await fleet.run(1, "x = 1");
    await fleet.executor(0).kill();
    await down();
    const reply = await (await fleet.post("/restart")).json();
    expect(reply).toEqual({
      status: "restart_completed",
      restarted_containers: [1],
      failed_containers: [{ container_id: 0, error: expect.stringContaining("ECONNREFUSED") }],
      total_restarted: 1,
      total_failed: 1,
    });
    expect(await fleet.status()).toMatchObject({ unhealthy_containers: 1, total_containers: 2 });
    await fleet.executor(0).startAgain();
    await fleet.untilStatus("both are free", (now) => now.available_containers === 2);
  });

  test("an executor that refuses its reset is not given to the next tenant", async () => {
    await fleet.run(0, "secret = 42\nimport __main__\n__main__.REFUSE.add('/restart')");
    const reply = await fleet.post("/deallocate/0");
    expect(await reply.json()).toEqual({ status: "deallocated", container_id: 0, resetting: true });
    const status = await fleet.status();
    expect(status).toMatchObject({ available_containers: 1, unhealthy_containers: 1 });
    expect(status.executors[0]).toMatchObject({ reason: expect.stringContaining("the reset failed") });
  });

  test("a deallocation that is not waited for says that the reset goes on", async () => {
    await fleet.run(0, "import __main__\n__main__.HANG.add('/ready')");
    const reply = await fleet.post("/deallocate/0?wait=0");
    expect(await reply.json()).toEqual({ status: "deallocated", container_id: 0, resetting: true });
    expect(await fleet.status()).toMatchObject({ resetting_containers: 1, available_containers: 1 });
  });
});

test("an executor whose /health hangs is called down, whatever its runs do", async () => {
  await fleet.run(0, "import __main__\n__main__.HANG.add('/health')");
  const status = await down();
  expect(status.executors[0]).toMatchObject({ reason: expect.stringContaining("no answer to GET /health") });
});
