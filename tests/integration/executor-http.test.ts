import { once } from "node:events";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorBodySchema } from "#contract/errors.ts";
import { BOOT_ID_HEADER, healthSchema } from "#contract/executor-api.ts";
import { ExecutorProcess } from "#tests/support/executor-process.ts";

const TOKEN = "s3cret-token";
const MAX_BODY_BYTES = 100_000;
const json = { "content-type": "application/json" };

let executor: ExecutorProcess;
let guarded: ExecutorProcess;

beforeAll(async () => {
  executor = await ExecutorProcess.start({ MAX_BODY_BYTES: String(MAX_BODY_BYTES) });
  guarded = await ExecutorProcess.start({ EXECUTOR_TOKEN: TOKEN });
});
afterAll(async () => {
  await executor[Symbol.asyncDispose]();
  await guarded[Symbol.asyncDispose]();
});

describe("a bad request", () => {
  const send = async (body: string, headers: Record<string, string> = json) => {
    const reply = await executor.request("/execute", { method: "POST", body, headers });
    return { status: reply.status, ...errorBodySchema.parse(await reply.json()) };
  };

  test.each([
    ["without code", "{}", ["body", "code"]],
    ["with code that is no text", `{"code": 5}`, ["body", "code"]],
    ["with a time limit below nothing", `{"code": "1", "timeout": -1}`, ["body", "timeout"]],
    ["with an unknown policy", `{"code": "1", "on_disconnect": "explode"}`, ["body", "on_disconnect"]],
    ["that is no object", `"1+1"`, ["body"]],
  ])("%s is a 422 that says where", async (_, body, loc) => {
    expect(await send(body)).toMatchObject({
      status: 422,
      code: "invalid_request",
      detail: [{ loc, msg: expect.any(String) }],
    });
  });

  test("that is no JSON is a 422", async () => {
    expect(await send(`{"code": `)).toMatchObject({ status: 422, code: "malformed_json" });
    expect(await send("")).toMatchObject({ status: 422, code: "malformed_json" });
  });

  test("of another type is a 415 with the way out", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    expect(await send("code=1", headers)).toMatchObject({
      status: 415,
      code: "unsupported_media_type",
      hint: expect.stringContaining("application/json"),
    });
  });

  test("larger than the limit is a 413, and the next one is served", async () => {
    const body = JSON.stringify({ code: `#${"x".repeat(MAX_BODY_BYTES)}` });
    expect(await send(body)).toMatchObject({ status: 413, code: "body_too_large" });
    expect((await executor.execute("1")).outcome).toBe("ok");
  });

  test("to an unknown path is a 404, by a wrong method a 405", async () => {
    const missing = await executor.request("/nothing");
    expect(missing.status).toBe(404);
    expect(errorBodySchema.parse(await missing.json()).code).toBe("not_found");
    const wrong = await executor.request("/execute");
    expect(wrong.status).toBe(405);
    expect(errorBodySchema.parse(await wrong.json()).code).toBe("method_not_allowed");
  });

  test("that is not HTTP costs nobody else anything", async () => {
    const connection = connect(join(executor.dir, "socket"));
    connection.end("\u0000\u0001 not http\r\n\r\n");
    expect(await text(connection)).toContain("400");
    expect((await executor.execute("1")).outcome).toBe("ok");
  });
});

describe("code as the body itself", () => {
  test.each(["text/plain", "text/x-python; charset=utf-8"])("is taken as %s", async (type) => {
    const reply = await executor.request("/execute", {
      method: "POST",
      headers: { "content-type": type },
      body: `print("é")`,
    });
    expect(await reply.json()).toMatchObject({ outputs: [{ text: "é\n" }] });
  });
});

describe("what an executor tells about itself", () => {
  test("its health names the process, and with ?verbose the kernel, memory and counts", async () => {
    const { executions } = await executor.health();
    await executor.execute("1");
    const health = await executor.health();
    expect(health).toMatchObject({
      status: "ok",
      kernel: { name: "python3", state: "idle", id: expect.any(String) },
      executions: executions + 1,
      restarts: 0,
    });
    expect(await (await executor.request("/health")).text()).toBe(
      `{"status":"ok","boot_id":"${health.boot_id}","resets":["kernel"]}`,
    );
  });

  test("a time limit is capped by the executor's maximum", async () => {
    await using short = await ExecutorProcess.start({ MAX_EXECUTION_TIMEOUT: "1", EXECUTION_TIMEOUT: "1" });
    const reply = await short.execute("import time; time.sleep(60)", { timeout: 3600 });
    expect(reply.outputs.at(-1)).toMatchObject({ value: "Execution timed out after 1 seconds" });
  });
});

describe("an executor with a token", () => {
  test.each(["/execute", "/restart", "/interrupt"])("takes nothing at %s without it", async (path) => {
    const bodies = [undefined, "Bearer wrong", `Bearer ${TOKEN}x`, `Basic ${TOKEN}`];
    for (const authorization of bodies) {
      const headers = { ...json, ...(authorization === undefined ? {} : { authorization }) };
      const reply = await guarded.request(path, { method: "POST", body: `{"code":"1"}`, headers });
      expect(reply.status).toBe(401);
      expect(errorBodySchema.parse(await reply.json()).code).toBe("unauthorized");
    }
  });

  test("tells without it whether it lives and is ready, and no more", async () => {
    expect((await guarded.request("/health")).status).toBe(200);
    expect((await guarded.request("/ready")).status).toBe(200);
    expect((await guarded.request("/health?verbose")).status).toBe(401);
    expect((await guarded.request("/code-info")).status).toBe(401);
    expect((await guarded.request("/restart-status")).status).toBe(401);
  });

  test("serves who sends it, and hides it from the code that it runs", async () => {
    const headers = { authorization: `Bearer ${TOKEN}` };
    const reply = await guarded.post("import os; print(os.environ.get('EXECUTOR_TOKEN'))", {}, { headers });
    expect(await reply.json()).toMatchObject({ outputs: [{ text: "None\n" }] });
  });
});

describe("a start", () => {
  test("with bad variables names all of them and ends with exit code 2", async () => {
    await using bad = await ExecutorProcess.launch({ PORT: "x", EXECUTION_TIMEOUT: "0", KERNEL_USER: "me" });
    expect(await bad.ended()).toBe(2);
    for (const name of ["PORT", "EXECUTION_TIMEOUT", "KERNEL_USER"]) expect(bad.log).toContain(name);
  });

  test("with an unknown kernel says where it looked, and leaves nothing behind", async () => {
    await using bad = await ExecutorProcess.launch({ KERNEL_NAME: "no-such-kernel" });
    expect(await bad.ended()).toBe(1);
    expect(bad.log).toMatch(/no kernelspec "no-such-kernel" in .*KERNEL_NAME/);
    expect((await bad.stop()).left).toEqual([]);
  });

  test("on a port that is taken says so, and leaves nothing behind", async () => {
    const server = createServer();
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = server.address();
    const port = typeof address === "object" ? String(address?.port) : "";
    await using bad = await ExecutorProcess.launch({ EXECUTOR_SOCKET: "", PORT: port });
    expect(await bad.ended()).toBe(1);
    server.close();
    expect(bad.log).toContain("EADDRINUSE");
    expect((await bad.stop()).left).toEqual([]);
  });
});

test("a request that is meant for another process of the executor runs nothing: 409", async () => {
  const execute = (bootId: string) =>
    executor.request("/execute", {
      method: "POST",
      body: JSON.stringify({ code: "reached = 1" }),
      headers: { ...json, [BOOT_ID_HEADER]: bootId },
    });
  const { boot_id } = healthSchema.parse(await (await executor.request("/health")).json());
  expect((await execute(boot_id ?? "")).status).toBe(200);
  const refused = await execute("another");
  expect(refused.status).toBe(409);
  expect(await refused.json()).toMatchObject({ code: "executor_restarted" });
});
