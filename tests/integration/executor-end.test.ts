import { describe, expect, test } from "vitest";
import { ExecutorProcess } from "#tests/support/executor-process.ts";
import { until } from "#tests/support/until.ts";

const TOKEN = "s3cret-token";
const withToken = { headers: { authorization: `Bearer ${TOKEN}` } };
const GRACE_S = 2;

describe("an executor whose container starts again", () => {
  test("ends on request, with an outcome for what runs and what waits, and leaves nothing", async () => {
    await using executor = await ExecutorProcess.start({ CONTAINER_RESTARTS: "1" });
    const running = executor.execute("import time; time.sleep(60)");
    await executor.untilState("busy");
    const waiting = executor.execute("1");
    await until("one waits", async () => (await executor.health()).waiting === 1 || undefined);
    const reply = await executor.request("/exit", { method: "POST" });
    expect([reply.status, await reply.text()]).toEqual([200, '{"status":"exiting"}']);
    expect(await running).toMatchObject({ outcome: "executor_lost" });
    expect(await waiting).toMatchObject({ outcome: "executor_lost" });
    expect(await executor.ended()).toBe(0);
    expect((await executor.stop()).left).toEqual([]);
  });

  test("ends on request before it has a kernel, too", async () => {
    await using executor = await ExecutorProcess.launch({ CONTAINER_RESTARTS: "1" });
    await until("it listens", () => executor.getJson("/health").catch(() => undefined));
    const waiting = executor.execute("1");
    await until("it waits", async () => (await executor.health()).executions === 1 || undefined);
    expect(await executor.postJson("/exit")).toEqual({ status: "exiting" });
    expect(await waiting).toMatchObject({ outcome: "executor_lost" });
    expect(await executor.ended()).toBe(0);
  });

  test("does so for who has its token only, and says that it can", async () => {
    await using executor = await ExecutorProcess.start({ CONTAINER_RESTARTS: "1", EXECUTOR_TOKEN: TOKEN });
    expect((await executor.request("/exit", { method: "POST" })).status).toBe(401);
    expect(await (await executor.request("/health")).text()).toMatch(
      /^\{"status":"ok","boot_id":"[^"]+","resets":\["kernel","container"\]\}$/,
    );
    const code = "import os; print([n for n in os.environ if 'RESTARTS' in n or n.startswith('EXECUTOR_')])";
    expect(await (await executor.post(code, {}, withToken)).json()).toMatchObject({
      outputs: [{ text: "[]\n" }],
    });
    expect((await executor.request("/exit", { method: "POST", ...withToken })).status).toBe(200);
    expect(await executor.ended()).toBe(0);
  });
});

test("an executor that nothing would start again knows no /exit", async () => {
  await using executor = await ExecutorProcess.start();
  const reply = await executor.request("/exit", { method: "POST" });
  expect([reply.status, await reply.json()]).toMatchObject([404, { code: "not_found" }]);
  expect((await executor.execute("1")).outcome).toBe("ok");
});

describe("an executor whose starter is gone", () => {
  test("ends at once where it was given no grace", async () => {
    await using executor = await ExecutorProcess.start({ EXECUTOR_STOP_WITH_STDIN: "1" });
    executor.abandon();
    expect(await executor.ended()).toBe(0);
    expect((await executor.stop()).left).toEqual([]);
  });

  test("ends after its grace when nobody calls who knows its token, however often others do", async () => {
    await using executor = await ExecutorProcess.start({
      EXECUTOR_STOP_WITH_STDIN: "1",
      EXECUTOR_ORPHAN_GRACE: "0.5",
      EXECUTOR_TOKEN: TOKEN,
    });
    executor.abandon();
    const wrong = { headers: { authorization: "Bearer wrong" } };
    await until("it has gone", async () => {
      const calls = ["/health", "/ready"].flatMap((path) => [
        executor.request(path),
        executor.request(path, wrong),
      ]);
      const settled = await Promise.allSettled(calls);
      return settled.every(({ status }) => status === "rejected") || undefined;
    });
    expect(await executor.ended()).toBe(0);
  });

  test.each(["/health", "/ready"])(
    "goes on with its kernel's state while somebody calls %s who knows its token",
    async (path) => {
      await using executor = await ExecutorProcess.start({
        EXECUTOR_STOP_WITH_STDIN: "1",
        EXECUTOR_ORPHAN_GRACE: String(GRACE_S),
        EXECUTOR_TOKEN: TOKEN,
      });
      await executor.post("kept = 7", {}, withToken);
      executor.abandon();
      const twiceTheGrace = performance.now() + 2 * GRACE_S * 1000;
      await until("the grace has passed twice", async () => {
        expect((await executor.request(path, withToken)).status).toBe(200);
        return performance.now() > twiceTheGrace || undefined;
      });
      const reply = await executor.post("print(kept)", {}, withToken);
      expect(await reply.json()).toMatchObject({ outputs: [{ text: "7\n" }] });
      expect(await executor.ended()).toBe(0);
    },
  );

  test("writes to a log that nobody reads, and is none the worse for it", async () => {
    await using executor = await ExecutorProcess.start({
      EXECUTOR_STOP_WITH_STDIN: "1",
      EXECUTOR_ORPHAN_GRACE: "600",
      LOG_LEVEL: "trace",
    });
    executor.abandon();
    for (const code of ["import os; os._exit(1)", "import os; os.write(2, b'x'); print(1)"]) {
      await executor.execute(code);
    }
    await executor.restart({});
    expect(await executor.execute("1")).toMatchObject({ outcome: "ok" });
    expect((await executor.health()).restarts).toBe(2);
  });
});
