import { createServer } from "node:http";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { FleetClient } from "#client/fleet-client.ts";
import type { ExecutionEvent } from "#contract/events.ts";
import { clientOf, failureOf, json, serve } from "#tests/support/fake-manager.ts";

const started = { seq: 0, type: "started", kernel_id: "k" };
const output = { seq: 1, type: "output", output: { type: "stream", name: "stdout", text: "é\n" } };
const outcome = {
  seq: 2,
  type: "outcome",
  outcome: "ok",
  execution_count: 1,
  duration_ms: 2,
  kernel: { id: "k" },
};
const allocation = {
  container_id: 3,
  type: "python",
  url: "http://x",
  session_id: "ses_0",
  expires_at: "2026-01-01T00:00:00Z",
};

describe("requests", () => {
  test("carry the query, the key and the base path of the URL", async () => {
    let seen: { url: string | undefined; key: string | undefined } | undefined;
    const url = await serve((request, response) => {
      seen = { url: request.url, key: request.headers.authorization };
      json(response, 200, allocation);
    });
    await expect(clientOf(`${url}/fleet/`, "s3cret").allocate({ type: "a b", wait: 2 })).resolves.toEqual(
      allocation,
    );
    expect(seen).toEqual({ url: "/fleet/allocate?container_type=a+b&wait=2", key: "Bearer s3cret" });
  });

  test("encode a ref, so that it stays one segment of the path", async () => {
    let seen: string | undefined;
    const url = await serve((request, response) => {
      seen = request.url;
      json(response, 200, { ready: true });
    });
    await clientOf(url).ready("../x?y");
    expect(seen).toBe("/session/..%2Fx%3Fy/ready");
  });

  test.each(["ftp://x", "localhost:5000", ""])("refuse the URL %j", (url) => {
    expect(() => new FleetClient({ url })).toThrow(TypeError);
  });

  test("refuse a key that no header can carry", () => {
    expect(() => new FleetClient({ url: "http://x", apiKey: "a\nb" })).toThrow(TypeError);
  });
});

describe("failures", () => {
  test("carry code, status, hint and retry time of the error reply", async () => {
    const body = { detail: "No executor is free", code: "no_executor_free", hint: "Wait longer" };
    const url = await serve((_, response) => json(response, 503, body, { "retry-after": "1" }));
    const error = await failureOf(clientOf(url).allocate());
    expect(error).toMatchObject({
      message: "No executor is free",
      code: "no_executor_free",
      status: 503,
      hint: "Wait longer",
      retryAfter: 1,
    });
  });

  test("tell every problem of an invalid request", async () => {
    const issues = [{ loc: ["body", "code"], msg: "expected string" }];
    const url = await serve((_, response) =>
      json(response, 422, { detail: issues, code: "invalid_request" }),
    );
    const error = await failureOf(clientOf(url).execute(0, { code: "" }));
    expect(error).toMatchObject({ message: "body.code: expected string", issues, status: 422 });
  });

  test("name a manager that does not answer as unreachable", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    server.close();
    await once(server, "close");
    const port = typeof address === "object" ? address?.port : undefined;
    const error = await failureOf(clientOf(`http://127.0.0.1:${port}`).health());
    expect(error).toMatchObject({ code: "unreachable", status: undefined });
  });

  test.each([
    [200, "<html>", "bad_reply"],
    [200, '{"status":"fine"}', "bad_reply"],
    [404, "not here", "bad_reply"],
  ])("a reply %i %j that is not the manager's is a bad reply", async (status, text, code) => {
    const url = await serve((_, response) => response.writeHead(status).end(text));
    expect(await failureOf(clientOf(url).health())).toMatchObject({ code, status });
  });

  test("an aborted signal rejects with its own reason", async () => {
    const url = await serve(() => undefined);
    const reason = new Error("enough");
    const stop = new AbortController();
    const call = clientOf(url).status({ signal: stop.signal });
    stop.abort(reason);
    await expect(call).rejects.toBe(reason);
  });
});

describe("executions", () => {
  test("are folded into the plain reply, split UTF-8 kept whole", async () => {
    const url = await serve((_, response) => {
      const bytes = Buffer.from(
        [started, output, outcome].map((event) => `${JSON.stringify(event)}\n`).join(""),
      );
      const middle = bytes.indexOf(0xc3) + 1;
      response.writeHead(200, { "content-type": "application/x-ndjson" });
      response.write(bytes.subarray(0, middle), () =>
        setImmediate(() => response.end(bytes.subarray(middle))),
      );
    });
    await expect(clientOf(url).execute(0, { code: "x" })).resolves.toEqual({
      outputs: [{ type: "stream", name: "stdout", text: "é\n" }],
      outcome: "ok",
      execution_count: 1,
      duration_ms: 2,
      kernel: { id: "k" },
    });
  });

  test("are sent once, also when the connection breaks under them", async () => {
    let requests = 0;
    const url = await serve((request, response) => {
      requests += 1;
      request.resume();
      request.once("end", () => response.destroy());
    });
    const error = await failureOf(clientOf(url).execute(0, { code: "x" }));
    expect(error.code).toBe("connection_lost");
    expect(requests).toBe(1);
  });

  test.each([
    ["ends without an outcome", `${JSON.stringify(started)}\n`, "connection_lost"],
    ["holds a line that is not JSON", "nonsense\n", "bad_reply"],
    ["holds a line that is not an event", '{"type":"other"}\n', "bad_reply"],
  ])("a stream that %s fails", async (_, text, code) => {
    const url = await serve((_request, response) => response.writeHead(200).end(text));
    expect((await failureOf(clientOf(url).execute(0, { code: "x" }))).code).toBe(code);
  });

  test("leaving the stream early closes its connection", async () => {
    const closed = Promise.withResolvers<void>();
    const url = await serve((_, response) => {
      response.once("close", () => closed.resolve());
      response.writeHead(200).write(`${JSON.stringify(started)}\n`);
    });
    const events: ExecutionEvent[] = [];
    for await (const event of clientOf(url).stream(0, { code: "x" })) {
      events.push(event);
      break;
    }
    await closed.promise;
    expect(events).toEqual([started]);
  });
});
