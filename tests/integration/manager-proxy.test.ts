import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import type { RunningManager } from "#manager/start-manager.ts";
import { startTestManager } from "#tests/support/manager.ts";
import { sendJson, startScriptedExecutor, type ScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { until } from "#tests/support/until.ts";

const BINARY = Buffer.from(Array.from({ length: 70_000 }, (_, index) => index % 256));
const echoSchema = z.object({
  method: z.string(),
  url: z.string(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])),
  body: z.string(),
});

let executor: ScriptedExecutor;
let manager: RunningManager;
/** Told of the requests that the executor sees end before it has answered. */
let hungUp = 0;

beforeAll(async () => {
  executor = await startScriptedExecutor({
    "/binary": (_, reply) => void reply.writeHead(200, { "content-type": "application/x-own" }).end(BINARY),
    "/teapot": (_, reply) =>
      void reply
        .writeHead(418, { "set-cookie": ["a=1", "b=2"], "x-own": "yes", "x-request-id": "the executor's" })
        .end("short and stout"),
    "/nothing": (_, reply) => void reply.writeHead(204).end(),
    "/reset-content": (_, reply) => void reply.writeHead(205).end(),
    "/unchanged": (_, reply) => void reply.writeHead(304, { etag: '"1"' }).end(),
    "/half": (_, reply) => {
      reply.writeHead(200, { "content-type": "text/plain" }).write("half of");
      setTimeout(() => reply.destroy(), 20);
    },
    "/endless": (_, reply) => {
      reply.writeHead(200, { "content-type": "text/plain" }).write("and so on");
      reply.once("close", () => (hungUp += 1));
    },
    "*": (request, reply, body) =>
      sendJson(reply, {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: body.toString("base64"),
      }),
  });
  manager = await startTestManager({ 0: { url: executor.url, type: "python" } });
  await until("the executor is free", () => manager.fleet.countByState().free === 1 || undefined);
  await fetch(`${manager.url}/allocate`, { method: "POST" });
});
afterAll(async () => {
  await manager[Symbol.asyncDispose]();
  await executor[Symbol.asyncDispose]();
});
beforeEach(() => {
  hungUp = 0;
});

const heldSession = () => manager.sessions.find({ executorNumber: manager.fleet.get(0).number }).session;
const at = (path: string) => `${manager.url}/session/0${path}`;
const echo = async (path: string, init?: RequestInit) =>
  echoSchema.parse(await (await fetch(at(path), init)).json());

/** One request over a connection of its own, exactly as written. */
async function raw(lines: readonly string[], body = ""): Promise<string> {
  const socket = connect(Number(new URL(manager.url).port), "127.0.0.1");
  socket.write([...lines, "Host: localhost", "Connection: close", "", body].join("\r\n"));
  return text(socket);
}

describe("what goes to the executor is what the client sent", () => {
  test.each(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])("the method %s", async (method) => {
    expect(await echo("/some/path", { method })).toMatchObject({ method, url: "/some/path", body: "" });
  });

  test.each([
    "/files/a%20b%2Fc%25.txt",
    "/files/%C3%A9?q=%26&q=2&empty=&flag",
    "/files/a+b;c,d@e:f",
    "/files//double///slash/",
    "/files/%E4",
  ])("the path and the query %s", async (path) => {
    expect((await echo(path)).url).toBe(path);
  });

  test("headers, but those that belong to the connection and those that are the manager's", async () => {
    const { headers } = await echo("/echo", {
      headers: { "x-own": "yes", accept: "text/x-own", authorization: "Bearer mine", "x-api-key": "mine" },
    });
    expect(headers).toMatchObject({ "x-own": "yes", accept: "text/x-own" });
    expect(headers["host"]).toBe(new URL(executor.url).host);
    expect(headers).not.toHaveProperty("authorization");
    expect(headers).not.toHaveProperty("x-api-key");
  });

  test("no header that Connection names", async () => {
    const reply = await raw(["GET /session/0/echo HTTP/1.1", "X-Hop: 1", "X-Own: 1", "Connection: X-Hop"]);
    expect(reply).toContain('"x-own":"1"');
    expect(reply).not.toContain("x-hop");
  });

  test("a binary body, with its length", async () => {
    const { body, headers } = await echo("/upload", { method: "PUT", body: BINARY });
    expect(Buffer.from(body, "base64").equals(BINARY)).toBe(true);
    expect(headers).toMatchObject({ "content-length": String(BINARY.length) });
    expect(headers).not.toHaveProperty("transfer-encoding");
  });

  test("a body whose length nobody told", async () => {
    const upload = new ReadableStream({
      start(controller) {
        controller.enqueue(BINARY);
        controller.close();
      },
    });
    const { body } = await echo("/upload", { method: "PUT", body: upload, duplex: "half" });
    expect(Buffer.from(body, "base64").equals(BINARY)).toBe(true);
  });

  test("no body where the client sent none", async () => {
    const reply = await raw(["POST /session/0/echo HTTP/1.1"]);
    expect(reply).toMatch(/^HTTP\/1\.1 200/);
    expect(reply).not.toContain('transfer-encoding":');
  });
});

describe("what comes back is what the executor sent", () => {
  test("status, headers and repeated headers", async () => {
    const reply = await fetch(at("/teapot"));
    expect(reply.status).toBe(418);
    expect(reply.headers.get("x-own")).toBe("yes");
    expect(reply.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    expect(await reply.text()).toBe("short and stout");
  });

  test("but the request id is the manager's", async () => {
    const reply = await fetch(at("/teapot"), { headers: { "x-request-id": "mine" } });
    expect(reply.headers.get("x-request-id")).toBe("mine");
  });

  test("a binary body", async () => {
    const reply = await fetch(at("/binary"));
    expect(reply.headers.get("content-type")).toBe("application/x-own");
    expect(Buffer.from(await reply.arrayBuffer()).equals(BINARY)).toBe(true);
  });

  test("nothing but headers for HEAD", async () => {
    const reply = await fetch(at("/binary"), { method: "HEAD" });
    expect([reply.status, reply.headers.get("content-type"), await reply.text()]).toEqual([
      200,
      "application/x-own",
      "",
    ]);
    await until("the session is not in use any more", () => !heldSession()?.isInUse || undefined);
  });

  test.each([
    ["/nothing", 204],
    ["/reset-content", 205],
    ["/unchanged", 304],
  ])("a status without a body: %s is %i", async (path, status) => {
    const reply = await fetch(at(path));
    expect([reply.status, await reply.text()]).toEqual([status, ""]);
  });
});

describe("connections that break", () => {
  test("a reply that the executor breaks off is broken off for the client too, not made whole", async () => {
    const reply = await fetch(at("/half"));
    await expect(reply.text()).rejects.toThrow("terminated");
  });

  test("a client that hangs up ends the request at the executor", async () => {
    const hangUp = new AbortController();
    const reply = await fetch(at("/endless"), { signal: hangUp.signal });
    expect(reply.status).toBe(200);
    hangUp.abort();
    await until("the executor sees it", () => hungUp === 1 || undefined);
  });

  test.each(["GET", "POST"])(
    "a proxied %s keeps its session in use until its reply has ended",
    async (method) => {
      const request = httpRequest(at("/endless"), { method }).end();
      const [reply]: IncomingMessage[] = await once(request, "response");
      await once(reply ?? request, "readable");
      const session = heldSession();
      expect(session?.isInUse).toBe(true);
      request.destroy();
      await until("the session is not in use", () => !session?.isInUse || undefined);
      await until("the executor sees that the client is gone", () => hungUp === 1 || undefined);
    },
  );
});
