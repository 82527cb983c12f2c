import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { verboseHealthSchema } from "#contract/executor-api.ts";
import { ExecutorProcess } from "#tests/support/executor-process.ts";
import { ManagerPlace, type ManagerProcess } from "#tests/support/manager-process.ts";
import type { SessionApi } from "#tests/support/session-api.ts";
import { until } from "#tests/support/until.ts";

/** Goes on until the file is there. */
const cellUntil = (file: string) =>
  `import os, time\nwhile not os.path.exists("${file}"): time.sleep(0.01)\nfinished = True`;

let executor: ExecutorProcess;
let place: ManagerPlace;
let manager: ManagerProcess;
let api: SessionApi;

beforeAll(async () => {
  executor = await ExecutorProcess.start({ EXECUTION_TIMEOUT: "60" });
});
afterAll(() => executor[Symbol.asyncDispose]());
beforeEach(async () => {
  place = await ManagerPlace.make([`unix:${join(executor.dir, "socket")}`]);
  ({ manager, api } = await place.start());
  await api.untilFree(1);
});
afterEach(() => place[Symbol.asyncDispose]());

/** Begins a run that outlives its client. Resolves when it is under way, to what the client is told of it. */
async function startRun(code: string): Promise<{ told: Promise<string> }> {
  const told = api
    .call("POST", "/session/mw/execute", { json: { code, on_disconnect: "continue" } })
    .then((response) => response.text());
  told.catch(() => undefined);
  await until("the cell runs", async () => (await kernelState()) === "busy" || undefined);
  return { told };
}

async function kernelState(): Promise<string> {
  const health = verboseHealthSchema.parse(await (await executor.request("/health?verbose")).json());
  return health.kernel.state;
}

test("a session whose cell outlives the manager is not idle until the cell has ended", async () => {
  await api.ensure("mw", { idle_timeout: 0.2 });
  const file = join(executor.dir, "end-of-cell");
  const { told } = await startRun(cellUntil(file));
  await manager.end("SIGKILL");
  await expect(told).rejects.toThrow("fetch failed");
  ({ manager, api } = await place.start());
  await until("its idle time is over for longer than it takes to be noticed", async () => {
    const [session] = (await api.list()).sessions;
    expect(session).toMatchObject({ name: "mw" });
    return Date.parse(session?.expires_at ?? "") < Date.now() - 2_000 || undefined;
  });
  expect(await kernelState()).toBe("busy");
  await writeFile(file, "");
  await until("it ends for being idle", async () => (await api.list()).sessions.length === 0 || undefined);
});

test("a cell in a detached session goes on when the manager stops, and its client is told so", async () => {
  await api.ensure("mw", { detached: true });
  const file = join(executor.dir, "end-of-other-cell");
  const { told } = await startRun(cellUntil(file));
  expect(await manager.end("SIGTERM")).toBe(0);
  expect(await told).toContain("The code goes on in its detached session");
  await writeFile(file, "");
  ({ manager, api } = await place.start());
  await until("the cell has ended", async () => (await kernelState()) === "idle" || undefined);
  expect(await api.run("mw", "finished")).toContain("True");
});
