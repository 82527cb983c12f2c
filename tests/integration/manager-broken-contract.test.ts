import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { decodeNdjson, NDJSON } from "#contract/events.ts";
import { startTestManager } from "#tests/support/manager.ts";
import { sendJson, startScriptedExecutor, type Script } from "#tests/support/scripted-executor.ts";
import { until } from "#tests/support/until.ts";

const MIB = 1024 * 1024;
const JSON_TYPE = "application/json";

/** Sends spaces without end, until the other side has had enough. */
function flood(reply: ServerResponse, type: string): void {
  const spaces = Buffer.alloc(MIB, " ");
  reply.writeHead(200, { "content-type": type });
  Readable.from(
    (function* () {
      for (;;) yield spaces;
    })(),
  )
    .on("error", () => undefined)
    .pipe(reply);
}

/** Runs code on an executor that answers so, and lets `check` look at the reply. */
async function whenExecutorAnswers(
  script: Script,
  accept: string,
  check: (reply: Response) => Promise<void>,
): Promise<void> {
  await using executor = await startScriptedExecutor({ "/execute": script });
  await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  await until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);
  const headers = { "content-type": "text/plain", accept };
  await check(await fetch(`${manager.url}/session/0/execute`, { method: "POST", headers, body: "1" }));
  // Whatever it answered, the manager goes on.
  expect((await fetch(`${manager.url}/health`)).status).toBe(200);
}

test.each<[string, Script, string]>([
  ["no JSON", (_, reply) => void reply.end("<html>"), "<html>"],
  ["JSON without outputs", (_, reply) => sendJson(reply, { output: 1 }), "output"],
  ["another status", (_, reply) => sendJson(reply, {}, 418), "POST /execute answered 418"],
  ["a reply without end", (_, reply) => flood(reply, JSON_TYPE), "larger than"],
])("an executor that answers with %s is told as 502", (_, script, detail) =>
  whenExecutorAnswers(script, JSON_TYPE, async (reply) => {
    expect(reply.status).toBe(502);
    const body = await reply.json();
    expect(body).toMatchObject({ code: "executor_bad_reply", detail: expect.stringContaining(detail) });
  }),
);

const output =
  '{"seq":0,"type":"output","output":{"type":"stream","name":"stdout","text":"so far"}}\n' +
  '{"seq":0,"type":"keep_alive"}\n';
const stream = (reply: ServerResponse, text: string) =>
  void reply.writeHead(200, { "content-type": NDJSON }).end(text);

test.each<[string, Script, number]>([
  ["what is no event", (_, reply) => stream(reply, `${output}nonsense\n`), 1],
  ["no outcome", (_, reply) => stream(reply, output), 1],
  ["nothing at all", (_, reply) => stream(reply, ""), 0],
  ["an event without end", (_, reply) => flood(reply, NDJSON), 0],
])("a stream of %s still ends in exactly one outcome, without a gap in its numbers", (_, script, before) =>
  whenExecutorAnswers(script, NDJSON, async (reply) => {
    const events = await Array.fromAsync(decodeNdjson(reply.body ?? new ReadableStream()));
    const numbered = events.filter(({ type }) => type !== "keep_alive");
    expect(numbered.map(({ seq }) => seq)).toEqual(numbered.map((_event, index) => index));
    expect(numbered).toHaveLength(before + 2);
    expect(numbered.filter(({ type }) => type === "outcome")).toHaveLength(1);
    expect(events.at(-1)).toMatchObject({ type: "outcome", outcome: "executor_lost" });
  }),
);

test("nothing is passed on that comes after the outcome", () => {
  const end =
    '{"seq":1,"type":"outcome","outcome":"ok","execution_count":1,"duration_ms":1,"kernel":{"id":"k"}}\n';
  return whenExecutorAnswers(
    (_, reply) => stream(reply, output + end + end.replace("1", "2")),
    NDJSON,
    async (reply) => {
      const events = await Array.fromAsync(decodeNdjson(reply.body ?? new ReadableStream()));
      expect(events.filter(({ type }) => type === "outcome")).toHaveLength(1);
      expect(events.at(-1)).toMatchObject({ seq: 1, outcome: "ok" });
    },
  );
});
