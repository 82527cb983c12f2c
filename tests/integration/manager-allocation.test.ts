import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Allocation } from "#contract/manager-api.ts";
import { startTestFleet, type TestFleet } from "#tests/support/manager.ts";
import { until } from "#tests/support/until.ts";

let fleet: TestFleet;
/** Ends what a test leaves waiting. */
let over = new AbortController();

beforeAll(async () => {
  fleet = await startTestFleet(["python", "python", "python", "typescript"], { maxWaiting: 3 });
});
afterAll(() => fleet[Symbol.asyncDispose]());
afterEach(async () => {
  over.abort();
  over = new AbortController();
  await fleet.untilStatus("nobody waits", (now) => now.waiting_allocations === 0);
  await fleet.post("/restart");
  await fleet.untilStatus("all are free", (now) => now.available_containers === now.total_containers);
});

const allocate = (query = "", signal = over.signal) => fleet.allocate(query, signal);

/** Holds the one TypeScript executor, so that clients have to wait for it. */
const holdTypescript = () => allocate("?container_type=typescript");

const freeAgain = () =>
  fleet.untilStatus("the executor is free again", (now) => now.available_containers === 4);

/** One more client that waits for the TypeScript executor; resolves once the manager knows of it. */
async function startWaiting(signal?: AbortSignal): Promise<{ allocation: Promise<Allocation> }> {
  const { waiting_allocations: before } = await fleet.status();
  const allocation = allocate("?container_type=typescript&wait=20", signal);
  allocation.catch(() => undefined);
  await fleet.untilStatus("one more client waits", (now) => now.waiting_allocations === before + 1);
  return { allocation };
}

describe("waiting", () => {
  test("clients that wait for a type are served in the order in which they came", async () => {
    let held = await holdTypescript();
    const waiting = [await startWaiting(), await startWaiting(), await startWaiting()];
    for (const { allocation } of waiting) {
      await fleet.post(`/deallocate/${held.session_id}?wait=0`);
      held = await allocation;
      expect(held.container_id).toBe(3);
    }
  });

  test("a client of another type is not held up by those who wait", async () => {
    await holdTypescript();
    await startWaiting();
    expect((await allocate("?container_type=python&wait=0")).type).toBe("python");
  });

  test("without a type nobody waits: 503 at once, with Retry-After", async () => {
    await Promise.all([allocate(), allocate(), allocate(), allocate()]);
    const startedAt = performance.now();
    const reply = await fleet.post("/allocate");
    expect(performance.now() - startedAt).toBeLessThan(500);
    expect(reply.status).toBe(503);
    expect(reply.headers.get("retry-after")).toBe("1");
    expect(await reply.json()).toMatchObject({ code: "no_executor_free", detail: "No executor is free" });
  });

  test("the wait ends after as many seconds as were asked for", async () => {
    await holdTypescript();
    const startedAt = performance.now();
    const reply = await fleet.post("/allocate?container_type=typescript&wait=0.3");
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(295);
    expect(reply.status).toBe(503);
    expect(reply.headers.get("retry-after")).toBe("1");
    expect(await reply.json()).toMatchObject({ detail: "No executor of type typescript is free" });
  });

  test.each(["0.0015", "0.29", "0", ""])("of wait=%s may be any number", async (wait) => {
    const { session_id } = await holdTypescript();
    expect((await fleet.post(`/allocate?container_type=typescript&wait=${wait}`)).status).toBe(503);
    expect((await fleet.post(`/deallocate/${session_id}?wait=${wait}`)).status).toBe(200);
  });

  test("more clients than may wait are refused at once: 429 with Retry-After", async () => {
    await holdTypescript();
    await startWaiting();
    await startWaiting();
    await startWaiting();
    const reply = await fleet.post("/allocate?container_type=typescript&wait=20");
    expect(reply.status).toBe(429);
    expect(reply.headers.get("retry-after")).toBe("1");
  });
});

describe("a client that hangs up leaves no ghost", () => {
  test("while it waits: the next in line is served instead", async () => {
    const held = await holdTypescript();
    const hangUp = new AbortController();
    const gone = await startWaiting(hangUp.signal);
    const next = await startWaiting();
    hangUp.abort();
    await expect(gone.allocation).rejects.toThrow("aborted");
    await fleet.untilStatus("the one that hung up waits no more", (now) => now.waiting_allocations === 1);

    await fleet.post(`/deallocate/${held.session_id}`);
    expect((await next.allocation).container_id).toBe(3);
    await fleet.post("/deallocate/3");
    expect((await fleet.status()).available_containers).toBe(4);
  });

  test("at the very moment at which it is served", async () => {
    const held = await holdTypescript();
    const socket = connect(Number(new URL(fleet.url).port), "127.0.0.1");
    socket.write("POST /allocate?container_type=typescript&wait=20 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await fleet.untilStatus("the client waits", (now) => now.waiting_allocations === 1);
    const executor = fleet.manager.fleet.get(3);
    let served = false;
    fleet.manager.fleet.onChange((changed) => {
      if (changed !== executor || executor.state.name !== "allocated") return;
      served = true;
      socket.destroy();
    });

    await fleet.post(`/deallocate/${held.session_id}?wait=0`);
    await until("the client was served", () => served || undefined);
    expect(await freeAgain()).toMatchObject({ allocated_containers: 0, unhealthy_containers: 0 });
  });

  test("after its executor was taken away again meanwhile, and the manager lives on", async () => {
    const socket = connect(Number(new URL(fleet.url).port), "127.0.0.1");
    const executor = fleet.manager.fleet.get(3);
    let served = false;
    fleet.manager.fleet.onChange((changed) => {
      if (changed !== executor || executor.state.name !== "allocated" || served) return;
      served = true;
      socket.destroy();
      queueMicrotask(() =>
        fleet.manager.fleet.markLost(executor.number, { reason: "taken away by the test" }),
      );
    });
    socket.write("POST /allocate?container_type=typescript HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await until("the client was served", () => served || undefined);
    expect(await freeAgain()).toMatchObject({ allocated_containers: 0, unhealthy_containers: 0 });
  });
});

describe("giving back", () => {
  test("the executor that has been free longest is given first", async () => {
    for (const number of [0, 1, 2]) await fleet.run(number, "x = 1");
    for (const number of [1, 0, 2]) await fleet.post(`/deallocate/${number}`);
    const given = [];
    for (let i = 0; i < 3; i += 1) given.push((await allocate("?container_type=python")).container_id);
    expect(given).toEqual([1, 0, 2]);
  });

  test.each([3, 20])("%i deallocations at once free an executor once", async (count) => {
    const { session_id } = await holdTypescript();
    const replies = await Promise.all(
      Array.from({ length: count }, (_, index) => fleet.post(`/deallocate/${index % 2 ? 3 : session_id}`)),
    );
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1);
    expect(replies.filter(({ status }) => status === 400)).toHaveLength(count - 1);
    expect(await fleet.status()).toMatchObject({ available_containers: 4, total_containers: 4 });
    expect((await fleet.post("/allocate?container_type=typescript&wait=0")).status).toBe(200);
    expect((await fleet.post("/allocate?container_type=typescript&wait=0")).status).toBe(503);
  });

  test("a status that is read right after a deallocation finds the executor free, and it is clean", async () => {
    await fleet.run(3, "secret = 42");
    await fleet.post("/deallocate/3");
    const { available_by_type, allocated_container_ids } = await fleet.status();
    expect(available_by_type["typescript"]).toBe(1);
    expect(allocated_container_ids).toEqual([]);
    expect(await fleet.run(3, "secret")).toContain("NameError");
  });

  test("an execution that waits for its turn cannot reach the next tenant", async () => {
    const { session_id: first } = await holdTypescript();
    const running = fleet.run(first, "import time\ntime.sleep(60)");
    const { session } = fleet.manager.sessions.find({ executorNumber: fleet.manager.fleet.get(3).number });
    await until("it runs", () => session?.isInUse || undefined);
    const waiting = fleet.post(`/session/${first}/execute`, { json: { code: "left = 42" } });
    await until("the next one waits", () => session?.queued === 1 || undefined);
    await fleet.post("/deallocate/3");
    expect(await running).toContain('"outcome":"restarted"');
    expect((await waiting).status).toBe(410);

    const { session_id: second } = await holdTypescript();
    expect(await fleet.run(second, "left")).toContain("NameError");
    await fleet.run(second, "secret = 42");
    const late = await fleet.post(`/session/${first}/execute`, { json: { code: "secret" } });
    expect(late.status).toBe(410);
  });
});
