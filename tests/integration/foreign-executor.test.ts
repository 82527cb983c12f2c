import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeNdjson } from "#contract/events.ts";
import { foreignExecuteReplySchema } from "#contract/execution.ts";
import { executorNumberSchema } from "#contract/ids.ts";
import { allocationSchema } from "#contract/manager-api.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import { startManager, type RunningManager } from "#manager/start-manager.ts";
import { processBackend } from "#tests/support/fleets.ts";
import { startForeignExecutor } from "#tests/support/foreign-executor.ts";
import { testSettings } from "#tests/support/manager.ts";
import { until } from "#tests/support/until.ts";

const OURS = 0;
const FOREIGN = 1;

let manager: RunningManager;
const cleanup = new AsyncDisposableStack();

beforeAll(async () => {
  const logDir = await mkdtemp(join(tmpdir(), "fleet-logs-"));
  cleanup.defer(() => rm(logDir, { recursive: true }));
  const foreign = cleanup.use(await startForeignExecutor());
  const ours = processBackend(logDir, { types: ["python"] });
  const both: Backend = {
    name: "process",
    warnings: [],
    plan: async () => [
      ...(await ours.plan()),
      { number: executorNumberSchema.parse(FOREIGN), type: "foreign" },
    ],
    preview: (signal) => ours.preview(signal),
    start: async (events, signal) => {
      events.placed(executorNumberSchema.parse(FOREIGN), { url: foreign.url });
      await ours.start(events, signal);
    },
    stop: (kept) => ours.stop(kept),
  };
  manager = cleanup.use(await startManager(testSettings(), both, pino({ level: "silent" })));
  const { fleet } = manager;
  await until("both are free", () => fleet.countByState().free === 2 || undefined, 60_000);
});
afterAll(() => cleanup.disposeAsync());

const post = (path: string, options: { body?: string; accept?: string } = {}) =>
  fetch(manager.url + path, {
    method: "POST",
    headers: { "content-type": "text/x-python", accept: options.accept ?? "application/json" },
    ...(options.body === undefined ? {} : { body: options.body }),
  });
const run = async (ref: number | string, body: string) => {
  const reply = await post(`/session/${ref}/execute`, { body });
  return foreignExecuteReplySchema.parse(await reply.json()).outputs;
};

describe.each([
  ["ours", OURS, "python"],
  ["one of another maker, in Python's standard library alone", FOREIGN, "foreign"],
])("in a fleet of both, %s", (_, number, type) => {
  test("is allocated by its type, keeps variables and answers with the same outputs", async () => {
    const reply = await post(`/allocate?container_type=${type}`);
    const allocation = allocationSchema.parse(await reply.json());
    expect(allocation).toMatchObject({ container_id: number, type });
    expect(await run(allocation.session_id, "x = 41")).toEqual([]);
    expect(await run(allocation.session_id, "print(x)\nx + 1")).toEqual([
      { type: "stream", name: "stdout", text: "41\n" },
      { type: "result", data: { "text/plain": "42" } },
    ]);
  });

  test("tells errors as outputs", async () => {
    expect(await run(number, "nprint(x)")).toEqual([
      {
        type: "error",
        name: "NameError",
        value: "name 'nprint' is not defined",
        traceback: expect.any(Array),
      },
    ]);
  });

  test.each(["application/x-ndjson", "text/event-stream"])(
    "is streamed as %s, to one outcome",
    async (accept) => {
      const reply = await post(`/session/${number}/execute`, { body: "print('a')\n1 / 0", accept });
      expect(reply.headers.get("content-type")).toBe(accept);
      const text = await reply.text();
      const lines = text.split("\n").filter((line) => line.startsWith("{") || line.startsWith("data: "));
      const ndjson = lines.map((line) => line.replace("data: ", "")).join("\n");
      const events = await Array.fromAsync(decodeNdjson(new Blob([ndjson]).stream()));
      expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, index) => index));
      const outputs = events.flatMap((event) => (event.type === "output" ? [event.output.type] : []));
      expect(outputs).toEqual(["stream", "error"]);
      expect(events.filter((event) => event.type === "outcome")).toHaveLength(1);
      expect(events.at(-1)).toMatchObject({ type: "outcome", outcome: "error" });
    },
  );

  test("answers for its health, and is clean after its session", async () => {
    expect(await (await fetch(`${manager.url}/session/${number}/health`)).json()).toMatchObject({
      status: "ok",
    });
    await run(number, "secret = 42");
    expect(await (await post(`/deallocate/${number}`)).json()).toEqual({
      status: "deallocated",
      container_id: number,
    });
    expect(await (await fetch(`${manager.url}/session/${number}/ready`)).json()).toMatchObject({
      ready: true,
    });
    expect(await run(number, "secret")).toMatchObject([{ name: "NameError" }]);
  });
});

test("POST /restart frees both", async () => {
  await run(OURS, "x = 1");
  await run(FOREIGN, "x = 1");
  expect(await (await post("/restart")).json()).toMatchObject({ restarted_containers: [OURS, FOREIGN] });
  expect(await (await fetch(`${manager.url}/status`)).json()).toMatchObject({
    available_by_type: { python: 1, foreign: 1 },
  });
});
