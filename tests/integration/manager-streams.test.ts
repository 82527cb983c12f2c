import { EventEmitter, once } from "node:events";
import type { ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { decodeNdjson, encodeEvent, NDJSON, type ExecutionEvent } from "#contract/events.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { startTestManager } from "#tests/support/manager.ts";
import { sendJson, startScriptedExecutor, type ScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { until } from "#tests/support/until.ts";

let executor: ScriptedExecutor;
let manager: RunningManager;
/** The replies of the executor to this test's slow runs. */
let open: ServerResponse[] = [];

beforeAll(async () => {
  executor = await startScriptedExecutor({
    "/execute": (request, reply, body) => {
      if (body.includes("quick")) return sendJson(reply, { outputs: [] });
      open.push(reply);
      if (request.headers.accept === NDJSON) reply.writeHead(200, { "content-type": NDJSON }).flushHeaders();
    },
  });
  manager = await startTestManager({ 0: { url: executor.url, type: "python" } }, { maxQueued: 2 });
  await until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);
});
afterAll(async () => {
  await manager[Symbol.asyncDispose]();
  await executor[Symbol.asyncDispose]();
});
beforeEach(() => {
  open = [];
});

function execute(code: string, accept: string, signal?: AbortSignal): Promise<Response> {
  return fetch(`${manager.url}/session/0/execute`, {
    method: "POST",
    headers: { "content-type": "text/plain", accept },
    body: code,
    ...(signal ? { signal } : {}),
  });
}
const arrived = () => until("the run has arrived", () => open[0]);
const hungUp = () => until("the executor sees that nobody listens", () => open[0]?.destroyed || undefined);
const queued = (count: number) =>
  until(`${count} runs wait`, () => {
    const { session } = manager.sessions.find({ executorNumber: manager.fleet.get(0).number });
    return session?.queued === count || undefined;
  });
const send = (event: ExecutionEvent) => open[0]?.write(encodeEvent(event, NDJSON));
const started: ExecutionEvent = { seq: 0, type: "started", kernel_id: "k" };
const outcome: ExecutionEvent = {
  seq: 1,
  type: "outcome",
  outcome: "ok",
  execution_count: 1,
  duration_ms: 1,
  kernel: { id: "k" },
};

describe("events are passed on when they come, not at the end", () => {
  test("as NDJSON", async () => {
    const reply = execute("slow", NDJSON);
    await arrived();
    send(started);
    const events = decodeNdjson((await reply).body ?? new ReadableStream());
    expect((await events.next()).value).toEqual(started);
    send({ seq: 0, type: "keep_alive" });
    expect((await events.next()).value).toEqual({ seq: 0, type: "keep_alive" });
    send(outcome);
    expect((await events.next()).value).toEqual(outcome);
    expect(await events.next()).toMatchObject({ done: true });
  });

  test("as server-sent events, which proxies are told not to hold back", async () => {
    const reply = execute("slow", "text/event-stream");
    await arrived();
    send(started);
    const { headers, body } = await reply;
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-accel-buffering")).toBe("no");
    const reader = (body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader.read()).value).toBe(`id: 0\nevent: started\ndata: ${JSON.stringify(started)}\n\n`);
    send(outcome);
    expect((await reader.read()).value).toContain("event: outcome");
    expect(await reader.read()).toMatchObject({ done: true });
  });
});

describe("a client that hangs up", () => {
  test("during a plain run: the executor is told, and the next run has its turn", async () => {
    const hangUp = new AbortController();
    const reply = execute("slow", "application/json", hangUp.signal);
    await arrived();
    const next = execute("quick", "application/json");
    await queued(1);
    hangUp.abort();
    await expect(reply).rejects.toThrow("aborted");
    expect((await next).status).toBe(200);
    expect(await hungUp()).toBe(true);
  });

  test.each([NDJSON, "text/event-stream"])("during a stream of %s: the same", async (accept) => {
    const hangUp = new AbortController();
    const reply = execute("slow", accept, hangUp.signal);
    await arrived();
    send(started);
    expect((await reply).status).toBe(200);
    const next = execute("quick", "application/json");
    await queued(1);
    hangUp.abort();
    expect((await next).status).toBe(200);
    expect(await hungUp()).toBe(true);
  });

  test("while it waits for its turn: it never runs, and makes room for another", async () => {
    const hangUp = new AbortController();
    const first = execute("slow", "application/json");
    await arrived();
    const waiting = [NDJSON, "application/json"].map((accept) => execute("slow", accept, hangUp.signal));
    await queued(2);
    const refused = await execute("quick", "application/json");
    expect(refused.status).toBe(429);
    expect(refused.headers.get("retry-after")).toBe("1");

    hangUp.abort();
    await Promise.allSettled(waiting);
    await queued(0);
    const next = execute("quick", "application/json");
    await queued(1);
    open[0]?.end('{"outputs":[]}');
    expect((await first).status).toBe(200);
    expect((await next).status).toBe(200);
    expect(open).toHaveLength(1);
  });
});

test("a client that reads slowly holds up the executor, not the manager's memory", async () => {
  const hangUp = new AbortController();
  const reply = execute("slow", NDJSON, hangUp.signal);
  await arrived();
  const text = "y".repeat(1024 * 1024);
  let sent = 0;
  const more = () =>
    open[0]?.write(
      encodeEvent({ seq: sent, type: "output", output: { type: "stream", name: "stdout", text } }, NDJSON),
    );
  const before = process.memoryUsage().rss;
  // Until nothing more is taken for a while: every buffer between here and the client is full.
  while (sent < 200) {
    sent += 1;
    if (more()) continue;
    const drained = once(open[0] ?? new EventEmitter(), "drain").then(() => true);
    if (!(await Promise.race([drained, delay(300, false)]))) break;
  }
  expect((await reply).status).toBe(200);
  expect(sent).toBeLessThan(50);
  expect((process.memoryUsage().rss - before) / 1024 ** 2).toBeLessThan(150);
  hangUp.abort();
  expect(await hungUp()).toBe(true);
});
