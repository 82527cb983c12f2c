import { EventEmitter, once } from "node:events";
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { decodeNdjson, encodeEvent, NDJSON, type ExecutionEvent } from "#contract/events.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { startTestManager } from "#tests/support/manager.ts";
import { sendJson, startScriptedExecutor, type ScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { until } from "#tests/support/until.ts";

const MUCH_MS = 1e9;
/** By how much the manager's clock is ahead. */
let aheadMs = 0;
const now = () => Date.now() + aheadMs;

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
  manager = await startTestManager({ 0: { url: executor.url, type: "python" } }, { maxQueued: 2, now });
  await until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);
});
afterAll(async () => {
  await manager[Symbol.asyncDispose]();
  await executor[Symbol.asyncDispose]();
});
beforeEach(() => {
  open = [];
});

function execute(body: string, accept: string, signal?: AbortSignal, type = "text/plain"): Promise<Response> {
  return fetch(`${manager.url}/session/0/execute`, {
    method: "POST",
    headers: { "content-type": type, accept },
    body,
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
/** Whether the executor may write on; not when nothing is taken from it any more, because every buffer is full. */
async function mayWrite(): Promise<boolean> {
  let left = 0;
  let looks = 0;
  return await until("the executor may write on, or is held up", () => {
    if (open[0]?.writableNeedDrain !== true) return true;
    looks = open[0].writableLength === left ? looks + 1 : 0;
    left = open[0].writableLength;
    return looks < 30 ? undefined : false;
  });
}
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

describe.each(["application/json", NDJSON])("a run that goes on without its client (%s)", (accept) => {
  const body = JSON.stringify({ code: "slow", on_disconnect: "continue" });
  const leave = async () => {
    const hangUp = new AbortController();
    const reply = execute(body, accept, hangUp.signal, "application/json").then((response) =>
      response.text(),
    );
    await arrived();
    if (accept === NDJSON) send(started);
    hangUp.abort();
    await expect(reply).rejects.toThrow("aborted");
  };
  const end = () =>
    accept === NDJSON ? open[0]?.end(encodeEvent(outcome, NDJSON)) : open[0]?.end('{"outputs":[]}');

  test("keeps its place and its session until it has ended", async () => {
    await leave();
    const next = execute("quick", "application/json");
    await queued(1);
    const { session } = manager.sessions.find({ executorNumber: manager.fleet.get(0).number });
    aheadMs = MUCH_MS;
    expect(session?.expiry()).toBeUndefined();
    expect(open[0]?.destroyed).toBe(false);
    end();
    expect((await next).status).toBe(200);
    await until("the session is not in use any more", () => !session?.isInUse || undefined);
  });

  test("is not held up, however much it prints", async () => {
    await leave();
    const text = "y".repeat(1024 * 1024);
    const printed =
      accept === NDJSON
        ? encodeEvent({ seq: 1, type: "output", output: { type: "stream", name: "stdout", text } }, NDJSON)
        : " ".repeat(text.length);
    for (let sent = 0; sent < 100; sent += 1) {
      if (!open[0]?.write(printed)) await once(open[0] ?? new EventEmitter(), "drain");
    }
    end();
    expect((await execute("quick", "application/json")).status).toBe(200);
  });

  test("ends with its session", async () => {
    await leave();
    expect((await fetch(`${manager.url}/deallocate/0`, { method: "POST" })).status).toBe(200);
    expect(await hungUp()).toBe(true);
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
  while (sent < 200) {
    sent += 1;
    if (!more() && !(await mayWrite())) break;
  }
  expect((await reply).status).toBe(200);
  expect(sent).toBeLessThan(50);
  expect((process.memoryUsage().rss - before) / 1024 ** 2).toBeLessThan(150);
  hangUp.abort();
  expect(await hungUp()).toBe(true);
});
