import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { fleetEventSchema, type FleetEvent } from "#contract/manager-api.ts";
import { startTestFleet, type TestFleet } from "#tests/support/manager.ts";
import { SessionApi } from "#tests/support/session-api.ts";
import { until } from "#tests/support/until.ts";

const PATIENT = { timeout: 10_000 };

let fleet: TestFleet;
let api: SessionApi;
/** Followers of the fleet that are attached, those of its own parts included. */
let followers = 0;

beforeAll(async () => {
  fleet = await startTestFleet(["python"]);
  api = new SessionApi(fleet.url);
  const { fleet: inside } = fleet.manager;
  const onChange = inside.onChange.bind(inside);
  inside.onChange = (listener) => {
    const handle = onChange(listener);
    followers += 1;
    return {
      [Symbol.dispose]() {
        followers -= 1;
        handle[Symbol.dispose]();
      },
    };
  };
});
afterAll(() => fleet[Symbol.asyncDispose]());
afterEach(async () => {
  await fleet.post("/restart");
  await api.untilFree(1);
  await until("no reader is attached", () => followers === 0 || undefined);
});

/** A reader of `/events` and all that it was told. */
async function attach() {
  const leave = new AbortController();
  const reply = await fetch(`${fleet.url}/events`, { signal: leave.signal });
  const events: FleetEvent[] = [];
  const read = async () => {
    let text = "";
    for await (const chunk of reply.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const parts = (text + chunk).split("\n\n");
      text = parts.pop() ?? "";
      for (const part of parts) {
        const data = /^event: (\w+)\ndata: (.*)$/.exec(part);
        if (data?.[2]) events.push(fleetEventSchema.parse(JSON.parse(data[2])));
      }
    }
  };
  const ended = read().catch(() => undefined);
  await until("the reader is attached", () => followers > 0 || undefined);
  return {
    reply,
    events,
    untilTold: (count: number) =>
      until(`${count} events are told`, () => (events.length >= count ? events.map(short) : undefined)),
    async [Symbol.asyncDispose]() {
      leave.abort();
      await ended;
    },
  };
}

function short(event: FleetEvent): string {
  if (event.type === "executor") return `executor ${event.executor.state}`;
  if (event.type === "session") return `session ${event.session.state}`;
  return `execution ${event.execution.state} ${event.execution.outcome ?? ""}`.trim();
}

describe("changes are told in order", () => {
  test("of executors, sessions and executions", async () => {
    await using reader = await attach();
    expect(reader.reply.headers.get("content-type")).toContain("text/event-stream");
    const { session_id } = await api.ensure("mw@lab");
    await api.run("mw@lab", "1");
    await api.run("mw@lab", "1/0");
    await api.call("POST", "/deallocate/mw@lab");
    expect(await reader.untilTold(11)).toEqual([
      "executor allocated",
      "session open",
      "execution queued",
      "execution running",
      "execution ended ok",
      "execution queued",
      "execution running",
      "execution ended error",
      "session ended",
      "executor resetting",
      "executor free",
    ]);
    expect(reader.events[0]).toMatchObject({ executor: { container_id: 0, session_id } });
    expect(reader.events[1]).toMatchObject({ session: { session_id, name: "mw", namespace: "lab" } });
    expect(reader.events[3]).toMatchObject({
      execution: { session_id, execution_id: expect.stringMatching(/^exe_/) },
    });
    expect(reader.events[8]).toMatchObject({ session: { session_id, reason: "deallocated" } });
    expect(reader.events[9]).toMatchObject({ executor: { reason: "session ended: deallocated" } });
  });

  test("also when an executor that becomes free is taken in the same moment", async () => {
    await api.ensure("first");
    const second = api.put("second");
    await api.untilWaiting(1);
    await using reader = await attach();
    await api.call("DELETE", "/session/first");
    expect((await second).status).toBe(201);
    expect(await reader.untilTold(5)).toEqual([
      "session ended",
      "executor resetting",
      "executor free",
      "executor allocated",
      "session open",
    ]);
  });

  test("of an executor that is lost, and of the session that is lost with it", async () => {
    await api.ensure("mw");
    await using reader = await attach();
    await fleet.executor(0).kill();
    expect((await reader.untilTold(2)).slice(0, 2)).toEqual(["executor unhealthy", "session unreachable"]);
    await fleet.executor(0).startAgain();
    await until(
      "the session has ended",
      () => reader.events.map(short).includes("session ended") || undefined,
    );
    await api.untilFree(1);
    const told = reader.events.map(short);
    expect(told.at(-1)).toBe("executor free");
    expect(told.filter((one) => one === "session ended")).toHaveLength(1);
  });
});

describe("readers", () => {
  test("are told the same, however many there are", async () => {
    await using one = await attach();
    await using other = await attach();
    await api.ensure("mw");
    await api.run("mw", "1");
    await Promise.all([one.untilTold(4), other.untilTold(4)]);
    expect(one.events).toEqual(other.events);
  });

  test("that leave are let go of", async () => {
    const readers = await Promise.all(Array.from({ length: 20 }, () => attach()));
    await expect.poll(() => followers, PATIENT).toBe(20);
    for (const reader of readers) await reader[Symbol.asyncDispose]();
    await expect.poll(() => followers, PATIENT).toBe(0);
  });

  test("that do not read are let go of before much is kept for them, while others are told everything", async () => {
    await using reader = await attach();
    const socket = await attachWithoutReading();
    await expect.poll(() => followers, PATIENT).toBe(2);
    const { fleet: inside } = fleet.manager;
    const executor = inside.get(0);
    let told = 0;
    // Far more than any buffer of the system holds.
    await until("the slow one is let go of", () => {
      for (let burst = 0; burst < 50; burst += 1) {
        inside.markLost(executor.number, { reason: "lost by the test" });
        told += 1;
        inside.changeState(executor, { name: "unhealthy", reason: `${told} ${"x".repeat(20_000)}` });
      }
      return followers === 1 || undefined;
    });
    const numbers = () =>
      reader.events.flatMap((event) => {
        const reason = event.type === "executor" ? (event.executor.reason ?? "") : "";
        return /^\d+ /.test(reason) ? [Number.parseInt(reason, 10)] : [];
      });
    await expect.poll(numbers, PATIENT).toEqual(Array.from({ length: told }, (_, index) => index + 1));
    socket.resume();
    await expect.poll(() => socket.destroyed || socket.readableEnded, PATIENT).toBe(true);
  });
});

/** A client that asks for events, and never reads any. */
async function attachWithoutReading(): Promise<Socket> {
  const { hostname, port } = new URL(fleet.url);
  const socket = connect(Number(port), hostname).pause();
  await once(socket, "connect");
  socket.on("error", () => undefined);
  socket.write(`GET /events HTTP/1.1\r\nhost: ${hostname}:${port}\r\n\r\n`);
  return socket;
}
