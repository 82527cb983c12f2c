import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { allocationSchema, sessionSchema, type Session } from "#contract/manager-api.ts";
import { ExecutorProcess } from "#tests/support/executor-process.ts";
import { startForeignExecutor } from "#tests/support/foreign-executor.ts";
import { ManagerPlace, type ManagerProcess } from "#tests/support/manager-process.ts";
import type { SessionApi } from "#tests/support/session-api.ts";
import { until } from "#tests/support/until.ts";

const SECRET = "value-that-nobody-else-sees";

let executors: ExecutorProcess[];
let place: ManagerPlace;
let manager: ManagerProcess;
let api: SessionApi;

const urlOf = (executor: ExecutorProcess) => `unix:${join(executor.dir, "socket")}`;

beforeAll(async () => {
  executors = await Promise.all([ExecutorProcess.start(), ExecutorProcess.start()]);
});
afterAll(() => Promise.all(executors.map((one) => one[Symbol.asyncDispose]())));
beforeEach(async () => {
  place = await ManagerPlace.make(executors.map(urlOf));
  await begin();
  await api.untilFree(2);
});
afterEach(() => place[Symbol.asyncDispose]());

async function begin(env: Record<string, string> = {}): Promise<void> {
  ({ manager, api } = await place.start({ LOG_LEVEL: "trace", ...env }));
}
/** The manager ends as the signal says, and another one takes its place. */
async function again(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
  await manager.end(signal);
  await begin();
}
const untilOpen = (ref: string) =>
  until("its session is open", async () => {
    const session = await api.show(ref);
    return session.state === "open" ? session : undefined;
  });
const refused = (ref: string) => api.refusal(api.call("GET", `/session/${ref}`));

describe("a manager that was killed and started again", () => {
  test("knows every session with its name, limits, names of variables and state", async () => {
    const named = await api.ensure("mw@lab", {
      detached: true,
      idle_timeout: 1234,
      lifetime: 5678,
      env: { TOKEN: SECRET },
    });
    const { session_id } = allocationSchema.parse(await (await api.call("POST", "/allocate")).json());
    await api.run("mw@lab", "x = 40");
    await api.run(session_id, "x = 2");
    await again();
    // What it promises is told at once; that its state is there is known when its executor has answered.
    const told: Partial<Session> = {
      ...named,
      last_used_at: expect.any(String),
      expires_at: expect.any(String),
    };
    expect(await untilOpen("mw@lab")).toMatchObject(told);
    expect(await api.run("mw@lab", "import os; print(x, os.environ['TOKEN'])")).toContain(`40 ${SECRET}`);
    expect(await api.run(session_id, "print(x + 40)")).toContain("42");
    expect(await api.refusal(api.put("mw@lab", { env: { TOKEN: "other" } }))).toContain(
      "409 session_conflict",
    );
    expect((await api.put("mw@lab", { env: { TOKEN: SECRET } })).status).toBe(200);
  });

  test("right after its reply, has not forgotten what it replied", async () => {
    const allocated = await api.call("POST", "/allocate");
    await manager.end("SIGKILL");
    const { session_id, container_id } = allocationSchema.parse(await allocated.json());
    await begin();
    expect(await api.show(session_id)).toMatchObject({ container_id });

    const renewed = await api.call("POST", `/session/${session_id}/renew`, { json: { lifetime: 777 } });
    await manager.end("SIGKILL");
    const { ends_at } = sessionSchema.parse(await renewed.json());
    await begin();
    expect(await api.show(session_id)).toMatchObject({ ends_at });
    await untilOpen(session_id);

    await api.call("DELETE", `/session/${session_id}`);
    await again();
    expect(await refused(session_id)).toBe(
      `410 session_ended: Session ${session_id} has ended: ended by a client`,
    );
  });

  test("gives no executor that it had not cleaned to anybody before it has", async () => {
    for (const ref of ["a", "b"]) {
      await api.ensure(ref);
      await api.run(ref, "secret = 42");
    }
    await Promise.all(["a", "b"].map((ref) => api.call("DELETE", `/session/${ref}`)));
    await again();
    for (const ref of ["c", "d"]) {
      expect((await api.put(ref)).status).toBe(201);
      expect(await api.run(ref, "secret")).toContain("NameError");
    }
  });

  test("writes no value of a variable to disk or into its log", async () => {
    await api.ensure("mw@lab", { env: { TOKEN: SECRET } });
    await api.call("PUT", "/session/bad@lab", { json: { env: { TOKEN: SECRET, "1A": SECRET } } });
    await api.refusal(api.put("mw@lab", { env: { TOKEN: `${SECRET}-2` } }));
    const written = [manager.log];
    await again();
    for (const file of await readdir(place.dataDir))
      written.push(await readFile(join(place.dataDir, file), "latin1"));
    for (const text of [...written, manager.log]) expect(text).not.toContain(SECRET);
    expect(written.length).toBeGreaterThan(1);
  });
});

describe("a session whose executor is not what it was ends for a true reason", () => {
  test("when it was started anew while no manager ran", async () => {
    await using old = await ExecutorProcess.start();
    await using other = await ManagerPlace.make([urlOf(old)]);
    const first = await other.start();
    await first.api.untilFree(1);
    const { session_id } = await first.api.ensure("mw@lab", { detached: true });
    await first.manager.end("SIGKILL");
    await old.stop();
    await using _ = await ExecutorProcess.launch({ EXECUTOR_SOCKET: join(old.dir, "socket") });
    const second = await other.start();
    await second.api.untilFree(1);
    expect(await second.api.refusal(second.api.call("GET", `/session/${session_id}`))).toMatch(
      /^410 .* has ended: executor lost: it was started anew while no manager ran$/,
    );
  });

  test("when it has no boot_id to tell that it is the same", async () => {
    await using foreign = await startForeignExecutor();
    await using other = await ManagerPlace.make([foreign.url]);
    const first = await other.start();
    await first.api.untilFree(1);
    const { session_id } = await first.api.ensure("mw@lab", { detached: true });
    await first.api.run("mw@lab", "secret = 42");
    await first.manager.end("SIGKILL");
    const second = await other.start();
    await second.api.untilFree(1);
    expect(await second.api.refusal(second.api.call("GET", `/session/${session_id}`))).toMatch(
      /has ended: executor lost: the manager was started again, and the executor has no boot_id/,
    );
    expect(await second.api.run(0, "secret")).toContain("NameError");
  });

  test("when it is of no use to the fleet any more", async () => {
    const { session_id, container_id } = await api.ensure("mw@lab");
    await manager.end("SIGKILL");
    await place.write("container_config.json", JSON.stringify({ 7: "http://127.0.0.1:1" }));
    await begin();
    expect(await refused(session_id)).toContain(`the fleet has no python executor ${container_id} any more`);
  });
});

describe("a manager that is asked to stop", () => {
  test("ends what is not detached, and leaves the rest to the next one", async () => {
    const kept = await api.ensure("kept@lab", { detached: true });
    const ended = await api.ensure("ended@lab");
    await api.run("kept@lab", "x = 42");
    await api.run("ended@lab", "secret = 42");
    await again("SIGTERM");
    expect(await untilOpen("kept@lab")).toMatchObject({ session_id: kept.session_id });
    expect(await api.run("kept@lab", "print(x)")).toContain("42");
    expect(await refused(ended.session_id)).toMatch(/^410 .* has ended: the manager stopped$/);
    expect((await api.put("next@lab")).status).toBe(201);
    expect(await api.run("next@lab", "secret")).toContain("NameError");
  });
});

test("readers of events do not hold up a manager that is asked to stop, and see an end", async () => {
  const reply = await api.call("GET", "/events");
  const read = reply.text();
  expect(await manager.end("SIGTERM")).toBe(0);
  expect(await read).toContain(": attached");
});

test("a second manager on the same data directory refuses with the reason, and the first goes on", async () => {
  const { session_id } = await api.ensure("mw@lab");
  const second = place.launch();
  expect(await second.ended()).toBe(1);
  expect(second.log).toContain(`another manager uses the data directory ${place.dataDir}`);
  expect(await api.run("mw@lab", "print(6 * 7)")).toContain("42");
  await again();
  expect(await api.show("mw@lab")).toMatchObject({ session_id });
});
