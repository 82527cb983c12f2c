import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { promisify } from "node:util";
import request from "supertest";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestFleet, type TestFleet } from "#tests/support/manager.ts";

const MIB = 1024 * 1024;

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet(["python"]);
});
afterAll(() => fleet[Symbol.asyncDispose]());

const curl = async (...flags: string[]) => (await promisify(execFile)("curl", ["-sS", ...flags])).stdout;
const execute = () => request(fleet.url).post("/session/0/execute");
const sendJson = (body: string) => execute().set("Content-Type", "application/json").send(body);

describe("invalid requests are told with a list of what is wrong: 422", () => {
  test.each([
    ["malformed JSON", '{"code": "1"', ["body"], "not JSON"],
    ["an empty body", "", ["body"], "not JSON"],
    ["no code", "{}", ["body", "code"], "expected string"],
    ["code that is no string", '{"code": 5}', ["body", "code"], "expected string"],
    ["JSON that is no object", "[1]", ["body"], "expected object"],
    ["a time limit of nothing", '{"code":"1","timeout":0}', ["body", "timeout"], "expected number to be >0"],
    ["a time limit in words", '{"code":"1","timeout":"long"}', ["body", "timeout"], "expected number"],
    ["an unknown policy", '{"code":"1","on_disconnect":"cry"}', ["body", "on_disconnect"], "expected one of"],
    ["a word that is not known", '{"code":"1","time_out":5}', ["body"], 'Unrecognized key: "time_out"'],
  ])("%s", async (_, body, loc, message) => {
    const reply = await sendJson(body).expect(422);
    expect(reply.body.detail).toEqual([{ loc, msg: expect.stringContaining(message) }]);
  });

  test("every problem is in the list", async () => {
    const reply = await sendJson('{"code":1,"timeout":-1}').expect(422);
    expect(reply.body.detail).toHaveLength(2);
  });

  test("nothing ran, and nothing is allocated", async () => {
    await fleet.post("/deallocate/0");
    await sendJson("{").expect(422);
    expect(await fleet.status()).toMatchObject({ available_containers: 1 });
  });
});

describe("the code may be the body itself", () => {
  test.each(["text/plain", "text/x-python", "Text/Plain; charset=utf-8"])("as %s", async (type) => {
    const code = 'name = "Zoë"\nprint(f"{name}: {1 + 1}")\n';
    const reply = await execute().set("Content-Type", type).send(code).expect(200);
    expect(reply.text).toBe('{"outputs":[{"type":"stream","name":"stdout","text":"Zo\\u00eb: 2\\n"}]}');
  });

  test("as curl sends a file", async () => {
    const type = "Content-Type: text/x-python";
    const url = `${fleet.url}/session/0/execute`;
    const sending = spawn("curl", ["-sS", "-H", type, "--data-binary", "@-", url]);
    sending.stdin.end("a = 6\nb = 7\na * b\n");
    expect(await json(sending.stdout)).toEqual({
      outputs: [{ type: "result", data: { "text/plain": "42" } }],
    });
  });

  test.each(["application/x-www-form-urlencoded", "application/xml", "multipart/form-data"])(
    "but not as %s: 415, and what to send instead",
    async (type) => {
      const reply = await execute().set("Content-Type", type).send("print(1)").expect(415);
      expect(reply.body).toMatchObject({
        detail: `Content-Type ${type} is not supported here`,
        hint: expect.stringContaining("application/json"),
      });
    },
  );

  test("nor without a type", async () => {
    const reply = await fetch(`${fleet.url}/session/0/execute`, { method: "POST", body: Buffer.from("1") });
    expect(reply.status).toBe(415);
    expect(await reply.json()).toMatchObject({ detail: "No Content-Type is not supported here" });
  });
});

describe("a body of 100 MB is refused, and the client gets the reply", () => {
  const tooLarge = { code: "body_too_large", hint: expect.stringContaining("MAX_BODY_BYTES") };
  let folder: string;
  let file: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "fleet-body-"));
    file = join(folder, "body");
    await writeFile(file, "");
    await truncate(file, 100 * MIB);
  });
  afterAll(() => rm(folder, { recursive: true }));

  test.each([
    ["with its length", []],
    ["in chunks", ["-H", "Transfer-Encoding: chunked"]],
    ["without asking first", ["-H", "Expect:"]],
    ["in chunks, without asking first", ["-H", "Transfer-Encoding: chunked", "-H", "Expect:"]],
  ])("from curl, %s", async (_, flags) => {
    const post = ["-X", "POST", "-H", "Content-Type: application/json"];
    const url = `${fleet.url}/session/0/execute`;
    const stdout = await curl("-T", file, ...post, "-w", "\n%{http_code}", ...flags, url);
    const [body = "", status] = stdout.split("\n");
    expect(status).toBe("413");
    expect(JSON.parse(body)).toMatchObject(tooLarge);
  });

  test("from fetch", async () => {
    const reply = await fetch(`${fleet.url}/session/0/execute`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new Uint8Array(100 * MIB),
    });
    expect(reply.status).toBe(413);
    expect(await reply.json()).toMatchObject(tooLarge);
  });

  test("from a client that writes to the end before it reads, and without memory growing", async () => {
    const script = [
      "import http.client, sys",
      "c = http.client.HTTPConnection(sys.argv[1])",
      "c.request('POST', '/session/0/execute', open(sys.argv[2], 'rb'), {'Content-Type': 'application/json'})",
      "print(c.getresponse().status)",
    ].join("\n");
    const before = process.memoryUsage().rss;
    let peak = before;
    const sampling = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 5);
    const { stdout } = await promisify(execFile)("python3", ["-c", script, new URL(fleet.url).host, file]);
    clearInterval(sampling);
    expect(stdout.trim()).toBe("413");
    expect((peak - before) / MIB).toBeLessThan(50);
  });

  test("the same on a path that is proxied", async () => {
    const url = `${fleet.url}/session/0/files/x`;
    expect(await curl("-T", file, "-o", "/dev/null", "-w", "%{http_code}", url)).toBe("413");
  });

  test("a body of the size that is allowed runs", async () => {
    const code = `x = "${"y".repeat(31 * MIB)}"\nlen(x)`;
    const reply = await fleet.run(0, code);
    expect(reply).toContain(String(31 * MIB));
  });

  test("a client that hangs up in the middle of its body leaves nothing allocated", async () => {
    await fleet.post("/deallocate/0");
    const upload = httpRequest(`${fleet.url}/session/0/execute`, {
      method: "POST",
      headers: { "content-type": "application/json", "content-length": "1000" },
    });
    upload.write('{"code":"');
    await once(upload, "socket");
    const closed = new Promise((resolve) => upload.once("close", resolve));
    upload.on("error", () => undefined).destroy();
    await closed;
    expect(await fleet.status()).toMatchObject({ available_containers: 1 });
  });
});
