import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorBodySchema } from "#contract/errors.ts";
import { ExecutorProcess } from "#tests/support/executor-process.ts";
import { until } from "#tests/support/until.ts";

/** Finds a text by its first half, so that the search itself leaves no whole one in the memory that it looks through. */
const SEARCH_MEMORY = `
def leaked(half, reversed_half):
    found = 0
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            fields = line.split()
            if "r" not in fields[1] or fields[-1].startswith(("[v", "/")): continue
            begin, end = (int(part, 16) for part in fields[0].split("-"))
            memory.seek(begin)
            data = memory.read(end - begin)
            at = data.find(half)
            while at >= 0:
                rest = data[at + len(half):at + len(half) + len(reversed_half)]
                found += rest[::-1] == reversed_half
                at = data.find(half, at + 1)
    return found
print(leaked(b"first-half-", b"dnoces"))
`;

let dir: string;
let executor: ExecutorProcess;

/** What code sees of a variable, what mounted code saw of it, and what a child process sees. */
const seen = async (name: string) =>
  await executor.printed(
    `import os, subprocess\nprint(os.environ.get("${name}"), AT_LOADING.get("${name}"), subprocess.getoutput("echo $${name}"))`,
  );
const post = (body: string, type: string) =>
  executor.request("/restart", { method: "POST", body, headers: { "content-type": type } });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "session-env-"));
  await writeFile(join(dir, "remember.py"), "import os\nAT_LOADING = dict(os.environ)\n");
  executor = await ExecutorProcess.start({ WORKSPACE_FOLDER: dir, GIVEN: "theirs", LOG_LEVEL: "trace" });
});
afterAll(async () => {
  await executor[Symbol.asyncDispose]();
  await rm(dir, { recursive: true });
});

describe("the variables of a restart", () => {
  test("are there for code, mounted code and child processes, over the executor's own", async () => {
    const reply = await post('{"env":{"GIVEN":"mine","B":"2"}}', "application/json");
    expect(await reply.text()).toBe('{"status":"restarting","env":["B","GIVEN"]}');
    expect(await seen("GIVEN")).toBe("mine mine mine\n");
    expect(await seen("B")).toBe("2 2 2\n");
    expect(await seen("HOME")).toContain(process.env["HOME"]);
  });

  test("outlive the kernel and a restart that names none, until one does", async () => {
    await executor.restart({ A: "1" });
    await executor.execute("import os; os._exit(1)");
    expect(await seen("A")).toBe("1 1 1\n");
    expect(await (await executor.request("/restart", { method: "POST" })).text()).toBe(
      '{"status":"restarting"}',
    );
    expect(await seen("A")).toBe("1 1 1\n");
    await executor.restart({ B: "2" });
    expect(await seen("A")).toBe("None None \n");
    expect(await executor.restart({})).toEqual({ status: "restarting", env: [] });
    expect(await seen("B")).toBe("None None \n");
    expect(await seen("GIVEN")).toBe("theirs theirs theirs\n");
  });

  test("keep any text, and set the time zone", async () => {
    const odd = `a "b" 'c' $HOME \\ é\u{1f600}\n{"x":1}`;
    await executor.restart({ ODD: odd, TZ: "Etc/GMT-7", EMPTY: "", HALF: "\ud83d" });
    const code =
      "import os, json, time; print(json.dumps([os.environ[n] for n in ('ODD', 'EMPTY', 'HALF')]))";
    expect(JSON.parse(await executor.printed(code))).toEqual([odd, "", "?"]);
    expect(await executor.printed("print(time.localtime(0).tm_hour)")).toBe("7\n");
  });

  test("overtake a start that goes on, and the last ones count", async () => {
    await executor.postJson("/restart");
    expect(await executor.restart({ A: "1" })).toEqual({ status: "restarting", env: ["A"] });
    expect(await executor.restart({ A: "2" })).toEqual({ status: "restarting", env: ["A"] });
    expect(await executor.postJson("/restart")).toEqual({ status: "already_restarting" });
    expect(await seen("A")).toBe("2 2 2\n");
  });

  test("overtake the first start, too", async () => {
    await using fresh = await ExecutorProcess.launch();
    await until("it listens", () => fresh.restart({ A: "1" }).catch(() => undefined));
    expect(await fresh.printed("import os; print(os.environ['A'])")).toBe("1\n");
    expect((await fresh.health()).kernel.state).toBe("idle");
  });

  test("are in no log and in no later tenant's memory", async () => {
    await executor.restart({ SECRET: "first-half-second" });
    expect(await executor.printed(SEARCH_MEMORY)).not.toBe("0\n");
    await executor.restart({});
    expect(await executor.printed(SEARCH_MEMORY)).toBe("0\n");
    expect(executor.log).toContain("kernel ready");
    expect(executor.log).not.toContain("first-half-second");
  });
});

describe("the body of a restart", () => {
  test.each(["application/json", "text/plain", "application/x-www-form-urlencoded"])(
    "may be empty as %s",
    async (type) => {
      await executor.untilReady();
      expect(await (await post("", type)).text()).toBe('{"status":"restarting"}');
    },
  );

  test.each([
    ["no JSON", `{"env":`, "malformed_json"],
    ["no object", `[]`, "invalid_request"],
    ["a name that is none", `{"env":{"1A":"secret-value"}}`, "invalid_request"],
    ["a value that is no text", `{"env":{"A":1}}`, "invalid_request"],
    ["a value with NUL", `{"env":{"A":"secret-value\\u0000"}}`, "invalid_request"],
  ])("with %s is a 422 that restarts nothing and repeats no value", async (_, body, code) => {
    await executor.untilReady();
    const { restarts } = await executor.health();
    const reply = await post(body, "application/json");
    const error = await reply.text();
    expect(reply.status).toBe(422);
    expect(errorBodySchema.parse(JSON.parse(error)).code).toBe(code);
    expect(error).not.toContain("secret-value");
    expect((await executor.health()).restarts).toBe(restarts);
  });
});
