import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { executeReplySchema } from "#contract/execution.ts";
import { restartRequestSchema } from "#contract/executor-api.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { startProcessFleet } from "#tests/support/fleets.ts";
import { startTestFleet, startTestManager } from "#tests/support/manager.ts";
import { processSettings } from "#tests/support/process-settings.ts";
import { sendJson, startScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { SessionApi } from "#tests/support/session-api.ts";

const PATIENT = { timeout: 10_000 };
const SECRET = "value-that-nobody-else-sees";
const REMEMBER = "import os\nAT_LOADING = dict(os.environ)\n";

let folder: string;
let fleet: RunningManager;
let api: SessionApi;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "session-env-"));
  const code = await mkdtemp(join(folder, "code-"));
  await writeFile(join(code, "remember.py"), REMEMBER);
  const { env } = processSettings(folder);
  fleet = await startProcessFleet(
    { types: ["python"], env: { ...env, WORKSPACE_FOLDER: code } },
    { dataDir: join(folder, "data") },
  );
  api = new SessionApi(fleet.url);
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});
afterEach(async () => {
  await api.call("POST", "/restart");
  await api.untilFree(1);
});

async function printed(ref: string, code: string): Promise<string> {
  const { outputs } = executeReplySchema.parse(JSON.parse(await api.run(ref, code)));
  return outputs.map((output) => (output.type === "stream" ? output.text : JSON.stringify(output))).join("");
}
/** What code, mounted code and a child process see of a variable. */
const seen = (ref: string, name: string) =>
  printed(
    ref,
    `import os, subprocess\nprint(os.environ.get("${name}"), AT_LOADING.get("${name}"), subprocess.getoutput("echo $${name}"))`,
  );

describe("the environment of a session", () => {
  test("is seen by its code, by mounted code and by child processes, from its first cell on", async () => {
    await api.ensure("mw@lab", { env: { TOKEN: SECRET, OTHER: "2" } });
    expect(await seen("mw@lab", "TOKEN")).toBe(`${SECRET} ${SECRET} ${SECRET}\n`);
    expect(await seen("mw@lab", "OTHER")).toBe("2 2 2\n");
  });

  test("can be given with an allocation, too", async () => {
    const reply = await api.call("POST", "/allocate", { json: { env: { TOKEN: SECRET } } });
    expect(reply.status).toBe(200);
    expect(await seen("0", "TOKEN")).toBe(`${SECRET} ${SECRET} ${SECRET}\n`);
  });

  test("is kept over a restart of the session and the death of its kernel", async () => {
    await api.ensure("mw@lab", { env: { TOKEN: SECRET } });
    await printed("mw@lab", "x = 1");
    expect((await api.call("POST", "/session/mw@lab/restart")).status).toBe(200);
    expect(await printed("mw@lab", "x")).toContain("NameError");
    expect(await seen("mw@lab", "TOKEN")).toBe(`${SECRET} ${SECRET} ${SECRET}\n`);
    expect(await printed("mw@lab", "import os; os._exit(1)")).toContain("KernelDied");
    expect(await seen("mw@lab", "TOKEN")).toBe(`${SECRET} ${SECRET} ${SECRET}\n`);
  });

  test("is not there for the next tenant, however the session ended", async () => {
    for (const ends of [
      () => api.call("DELETE", "/session/mw@lab"),
      () => api.call("POST", "/deallocate/mw@lab"),
      () => api.call("POST", "/restart"),
    ]) {
      await api.ensure("mw@lab", { env: { TOKEN: SECRET } });
      await ends();
      await api.untilFree(1);
      expect(await seen("0", "TOKEN")).toBe("None None \n");
      await api.call("POST", "/deallocate/0");
    }
  });

  test("is told by its names alone: no value is in a reply or on disk", async () => {
    const reply = await (await api.put("mw@lab", { env: { TOKEN: SECRET } })).text();
    const replies = [reply, await (await api.call("GET", "/session/mw@lab")).text()];
    for (const path of ["/sessions", "/status"]) replies.push(await (await api.call("GET", path)).text());
    expect(await api.show("mw@lab")).toMatchObject({ env: ["TOKEN"] });
    const files = await readdir(join(folder, "data"), { recursive: true });
    expect(files).toContain("fleet.db");
    for (const file of files) replies.push(await readFile(join(folder, "data", file), "latin1"));
    for (const text of replies) expect(text).not.toContain(SECRET);
  });

  test("is shared by all who ask for it at once, who are served when it is there", async () => {
    const spec = { env: { TOKEN: SECRET } };
    const statuses = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const { status } = await api.put("mw@lab", spec);
        return [status, await printed("mw@lab", "import os; print(os.environ['TOKEN'])")];
      }),
    );
    expect(statuses.filter(([status]) => status === 201)).toHaveLength(1);
    expect(new Set(statuses.map(([, text]) => text))).toEqual(new Set([`${SECRET}\n`]));
  });

  test("comes at once also for who does not want to wait for an executor", async () => {
    expect((await api.put("mw@lab", { wait: 0, env: { TOKEN: SECRET } })).status).toBe(201);
  });
});

test("callers that leave while it is being given leave nothing behind, and spoil it for nobody", async () => {
  const restarts: (() => void)[] = [];
  await using executor = await startScriptedExecutor({
    "/restart": async (_, reply, body) => {
      const { env } = restartRequestSchema.parse(JSON.parse(String(body)));
      const names = Object.keys(env ?? {});
      if (names.length > 0) await new Promise<void>((resolve) => void restarts.push(resolve));
      sendJson(reply, { status: "restarting", env: names });
    },
  });
  await using manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  const other = new SessionApi(manager.url);
  await other.untilFree(1);
  const spec = { env: { TOKEN: SECRET } };
  const hangUp = new AbortController();
  const gone = [1, 2].map(() => other.put("mw@lab", spec, hangUp.signal).catch(() => "gone"));
  await expect.poll(() => restarts.length, PATIENT).toBe(1);
  expect(await other.refusal(other.call("GET", "/session/mw@lab"))).toMatch(/^404 .* It is being opened/);
  hangUp.abort();
  expect(await Promise.all(gone)).toEqual(["gone", "gone"]);
  // The next one gets a session of its own, when the executor is clean.
  const next = other.put("mw@lab", spec);
  await expect.poll(() => restarts.length, PATIENT).toBe(2);
  for (const resolve of restarts) resolve();
  expect((await next).status).toBe(201);
  await other.call("DELETE", "/session/mw@lab");
  await other.untilFree(1);
  expect((await other.list()).sessions).toEqual([]);
});

test("nobody gives the next tenant of a free executor an environment", async () => {
  const reply = await api.call("POST", "/session/0/restart", { json: { env: { TOKEN: "planted" } } });
  expect(reply.status).toBe(200);
  expect(await seen("0", "TOKEN")).toBe("None None \n");
});

describe("an environment that cannot be", () => {
  test.each([{ "1A": SECRET }, { A: `${SECRET}\0` }, { "A=B": SECRET }, { A: 1 }])(
    "is a 422 that repeats no value: %j",
    async (env) => {
      const reply = await api.call("PUT", "/session/mw@lab", { json: { env } });
      expect(reply.status).toBe(422);
      expect(await reply.text()).not.toContain(SECRET);
      expect(await api.status()).toMatchObject({ available_containers: 1 });
    },
  );

  test("on an executor that takes none is a 400 for all who asked, and the executor is free again", async () => {
    await using foreign = await startTestFleet(["python"]);
    const other = new SessionApi(foreign.url);
    const spec = { env: { TOKEN: SECRET } };
    const refused = await Promise.all([1, 2, 3].map(() => other.refusal(other.put("mw@lab", spec))));
    expect(new Set(refused)).toEqual(
      new Set(["400 env_unsupported: Executors of type python take no environment"]),
    );
    await other.untilFree(1);
    expect((await other.list()).sessions).toEqual([]);
    const allocated = other.call("POST", "/allocate", { json: spec });
    expect(await other.refusal(allocated)).toMatch(/^400 env_unsupported/);
    await other.untilFree(1);
    expect((await other.put("mw@lab")).status).toBe(201);
  });
});
