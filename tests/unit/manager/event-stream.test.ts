import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ServiceError } from "#contract/errors.ts";
import { NDJSON, type ExecutionEvent } from "#contract/events.ts";
import { eventStreamReply } from "#manager/http/event-stream.ts";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Events that come when the test lets them. */
function scripted() {
  const gate = Promise.withResolvers<void>();
  async function* events(): AsyncGenerator<ExecutionEvent> {
    await gate.promise;
    yield { seq: 0, type: "started", kernel_id: "k" };
  }
  return { events: events(), go: gate.resolve, refuse: gate.reject };
}

async function lines(reply: Response): Promise<unknown[]> {
  return (await reply.text())
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
}

test("a run that waits for its turn for long begins its stream with keep-alive events", async () => {
  const { events, go } = scripted();
  const pending = eventStreamReply(events, NDJSON, "interrupt");
  await vi.advanceTimersByTimeAsync(10_000);
  const text = lines(await pending);
  await vi.advanceTimersByTimeAsync(10_000);
  go();
  expect(await text).toEqual([
    { seq: 0, type: "keep_alive" },
    { seq: 0, type: "started", kernel_id: "k" },
  ]);
});

test("a refusal at once is thrown, so that it becomes a status", async () => {
  const { events, refuse } = scripted();
  refuse(new ServiceError("executor_unavailable", "Container 0 is not available"));
  await expect(eventStreamReply(events, NDJSON, "interrupt")).rejects.toThrow("Container 0 is not available");
});

test("a refusal after the stream has begun becomes its outcome", async () => {
  const { events, refuse } = scripted();
  const pending = eventStreamReply(events, NDJSON, "interrupt");
  await vi.advanceTimersByTimeAsync(10_000);
  const reply = await pending;
  refuse(new ServiceError("session_ended", "Session ses_1 has ended: deallocated"));
  expect(await lines(reply)).toMatchObject([
    { type: "output", output: { name: "NotRun", value: expect.stringContaining("deallocated") } },
    { type: "outcome", outcome: "restarted" },
  ]);
});
