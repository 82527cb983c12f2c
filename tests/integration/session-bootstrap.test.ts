import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { join } from "node:path";
import { ExecutorProcess } from "#tests/support/executor-process.ts";
import { ManagerPlace } from "#tests/support/manager-process.ts";
import type { SessionApi } from "#tests/support/session-api.ts";
import { until } from "#tests/support/until.ts";

const CONFIG = { FLEET_CONFIG_FILE: "fleet.yml", FLEET_NAMESPACE: "home" };
const BOTH_FORMS = `
bootstrap:
  - mw@lab
  - name: keeper
    detached: true
    env: { ROLE: keeper }
`;

let executors: ExecutorProcess[];
let place: ManagerPlace;

beforeAll(async () => {
  executors = await Promise.all([ExecutorProcess.start(), ExecutorProcess.start()]);
});
afterAll(() => Promise.all(executors.map((one) => one[Symbol.asyncDispose]())));
beforeEach(async () => {
  place = await ManagerPlace.make(executors.map(({ dir }) => `unix:${join(dir, "socket")}`));
});
afterEach(() => place[Symbol.asyncDispose]());

async function start(yaml: string) {
  await place.write("fleet.yml", yaml);
  return await place.start(CONFIG);
}
const untilStates = (api: SessionApi, ...states: string[]) =>
  until(`the singletons are ${states.join(" and ")}`, async () => {
    const { singletons } = await api.list();
    return String(singletons.map(({ state }) => state)) === String(states) ? singletons : undefined;
  });

describe("bootstrap of the fleet's config", () => {
  test("opens named sessions at the start, in short and in long form, and tells of them", async () => {
    const { api } = await start(BOTH_FORMS);
    const singletons = await untilStates(api, "open", "open");
    const { sessions } = await api.list();
    const idOf = (name: string) => sessions.find((session) => session.name === name)?.session_id;
    expect(singletons).toEqual([
      { name: "mw", namespace: "lab", state: "open", session_id: idOf("mw") },
      { name: "keeper", namespace: "home", state: "open", session_id: idOf("keeper") },
    ]);
    expect(await api.show("keeper")).toMatchObject({ detached: true, env: ["ROLE"] });
    expect(await api.run("keeper", "import os; print(os.environ['ROLE'])")).toContain("keeper");
    expect((await api.list("?namespace=lab")).singletons).toHaveLength(1);
  });

  test("opens none a second time: after a kill they are the same, with their variables", async () => {
    const first = await start(BOTH_FORMS);
    const before = await untilStates(first.api, "open", "open");
    await first.api.run("mw@lab", "x = 42");
    await first.manager.end("SIGKILL");
    const second = await start(BOTH_FORMS);
    expect(await untilStates(second.api, "open", "open")).toEqual(before);
    expect(await second.api.run("mw@lab", "print(x)")).toContain("42");
    expect((await second.api.list()).sessions).toHaveLength(2);
  });

  test("opens again what ended with the last manager", async () => {
    const first = await start(BOTH_FORMS);
    const [ended, kept] = await untilStates(first.api, "open", "open");
    await first.manager.end("SIGTERM");
    const second = await start(BOTH_FORMS);
    const [mw, keeper] = await untilStates(second.api, "open", "open");
    expect(keeper).toEqual(kept);
    expect(mw?.session_id).not.toBe(ended?.session_id);
  });

  test("tells a conflict with what is there, and changes nothing of it", async () => {
    const first = await start(BOTH_FORMS);
    await untilStates(first.api, "open", "open");
    await first.manager.end("SIGKILL");
    const { api } = await start(BOTH_FORMS.replace("ROLE: keeper", "ROLE: other"));
    const keeper = await until("it tells the conflict", async () =>
      (await api.list()).singletons.find(({ state, reason }) => state === "open" && reason),
    );
    expect(keeper.reason).toBe(
      "Session keeper@home exists with another spec: env has other variables or values",
    );
    expect(await api.run("keeper", "import os; print(os.environ['ROLE'])")).toContain("keeper");
  });

  test("tells that there is no free executor, and opens it when there is", async () => {
    const { api } = await start("bootstrap: [a, b, c]");
    const told = await until("two are open", async () => {
      const { singletons } = await api.list();
      return singletons.filter(({ state }) => state === "open").length === 2 ? singletons : undefined;
    });
    const waiting = told.find(({ state }) => state === "opening");
    expect(waiting?.reason).toBe("it waits for a free executor");
    const open = told.find(({ state }) => state === "open");
    await api.call("DELETE", `/session/${open?.session_id}`);
    await until("the third is open", async () => {
      const { singletons } = await api.list();
      return singletons.find(({ name, state }) => name === waiting?.name && state === "open");
    });
    expect((await api.list()).singletons).toContainEqual(
      expect.objectContaining({ name: open?.name, state: "ended", reason: "ended by a client" }),
    );
  });
});

test("a bad config ends the start with exit code 2, and tells every problem", async () => {
  await place.write("fleet.yml", "bootstrap: [7@lab, { name: ok, idle_timeout: -1 }]\nstrap: []\n");
  const manager = place.launch(CONFIG);
  expect(await manager.ended()).toBe(2);
  expect(manager.log).toMatch(/^FLEET_CONFIG_FILE: fleet\.yml: /);
  for (const part of ["bootstrap[0].name", "bootstrap[1].idle_timeout", '"strap"'])
    expect(manager.log).toContain(part);
  expect(manager.log).not.toContain("    at ");
});
