import request from "supertest";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startTestFleet, type TestFleet } from "#tests/support/manager.ts";

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet(["python", "python", "typescript"]);
});
afterAll(() => fleet[Symbol.asyncDispose]());
afterEach(() => fleet.post("/restart"));

const get = (path: string) => request(fleet.url).get(path);
const post = (path: string) => request(fleet.url).post(path);
const execute = (ref: number | string, code: string) => post(`/session/${ref}/execute`).send({ code });

describe("success replies, byte for byte", () => {
  test("GET /health", async () => {
    const reply = await get("/health").expect(200).expect("content-type", "application/json");
    expect(reply.text).toBe('{"status":"ok"}');
  });

  test("GET /status begins with the reference's fields; a type stays listed at 0", async () => {
    await post("/allocate?container_type=typescript").expect(200);
    const reply = await get("/status").expect(200);
    expect(reply.text).toMatch(
      '{"available_containers":2,"available_by_type":{"python":2,"typescript":0},"allocated_containers":1,' +
        '"total_containers":3,"allocated_container_ids":[2],',
    );
  });

  test("POST /allocate", async () => {
    const reply = await post("/allocate?container_type=typescript").expect(200);
    const { url } = fleet.executor(2);
    const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
    expect(reply.text).toMatch(
      new RegExp(
        `^\\{"container_id":2,"type":"typescript","url":"${url}","session_id":"ses_[0-9a-f]{24}","expires_at":"${time}"\\}$`,
      ),
    );
  });

  test("POST /deallocate, by number and by session id", async () => {
    await execute(1, "x = 1").expect(200);
    expect((await post("/deallocate/1").expect(200)).text).toBe('{"status":"deallocated","container_id":1}');

    const { session_id } = (await post("/allocate?container_type=typescript").expect(200)).body;
    const reply = await post(`/deallocate/${session_id}`).expect(200);
    expect(reply.text).toBe('{"status":"deallocated","container_id":2}');
  });

  test("POST /restart, with and without something to restart", async () => {
    expect((await post("/restart").expect(200)).text).toBe(
      '{"status":"no_containers_to_restart","restarted_containers":[]}',
    );
    await execute(0, "x = 1").expect(200);
    await execute(2, "x = 1").expect(200);
    expect((await post("/restart").expect(200)).text).toBe(
      '{"status":"restart_completed","restarted_containers":[0,2],"failed_containers":[],' +
        '"total_restarted":2,"total_failed":0}',
    );
    const status = (await get("/status")).body;
    expect(status.available_containers).toBe(3);
  });

  test("POST /session/{ref}/execute is the executor's reply, unchanged", async () => {
    expect((await execute(0, "x = 42").expect(200)).text).toBe('{"outputs":[]}');
    const printed = await execute(0, "print(x)").expect(200).expect("content-type", "application/json");
    expect(printed.text).toBe('{"outputs":[{"type":"stream","name":"stdout","text":"42\\n"}]}');
    expect((await execute(0, "x + 1")).text).toBe(
      '{"outputs":[{"type":"result","data":{"text/plain":"43"}}]}',
    );
  });

  test("/health and /ready of a session are the executor's replies, also of a free executor", async () => {
    expect((await get("/session/1/health").expect(200)).text).toBe('{"status":"ok"}');
    expect((await get("/session/1/ready").expect(200)).text).toBe('{"ready":true}');
    expect((await post("/session/1/restart").expect(200)).text).toBe('{"status":"restarting"}');
    expect((await get("/status")).body.allocated_containers).toBe(0);
  });
});

describe("failure replies", () => {
  test.each([
    [
      "POST /allocate of an unknown type",
      "/allocate?container_type=cobol",
      400,
      "Unknown container type: cobol",
    ],
    ["deallocating what does not exist", "/deallocate/999", 400, "Container 999 is not allocated"],
    ["deallocating what is free", "/deallocate/1", 400, "Container 1 is not allocated"],
    ["deallocating nonsense", "/deallocate/abc", 400, "Container abc is not allocated"],
    ["a number that is not there", "/session/99/restart", 404, "Container 99 not found"],
    [
      "a name that nobody gave",
      "/session/abc/restart",
      404,
      expect.stringContaining('There is no session "abc" in namespace "default" (12 tries in '),
    ],
  ])("%s", async (_, path, status, detail) => {
    const reply = await post(path).expect(status);
    expect(reply.body).toMatchObject({ detail, code: expect.any(String) });
  });

  test("executing on an executor that is not there", async () => {
    expect((await execute(99, "1").expect(404)).body.detail).toBe("Container 99 not found");
  });

  test("a session id that never was: 404; one that has ended: 410, for every path", async () => {
    const unknown = `ses_${"0".repeat(24)}`;
    expect((await execute(unknown, "1").expect(404)).body.code).toBe("unknown_session");

    const { session_id } = (await post("/allocate").expect(200)).body;
    await post(`/deallocate/${session_id}`).expect(200);
    expect((await execute(session_id, "1").expect(410)).body.code).toBe("session_ended");
    await get(`/session/${session_id}/ready`).expect(410);
    expect((await post(`/deallocate/${session_id}`).expect(400)).body.code).toBe("not_allocated");
  });

  test("a bad wait is told under detail, as a list", async () => {
    const reply = await post("/allocate?wait=soon").expect(422);
    expect(reply.body).toMatchObject({
      code: "invalid_request",
      detail: [{ loc: ["query", "wait"], msg: expect.any(String) }],
    });
  });

  test("no path: 404 with a way out", async () => {
    const reply = await get("/nowhere").expect(404);
    expect(reply.body).toEqual({
      detail: "There is no GET /nowhere",
      code: "not_found",
      hint: expect.stringContaining("/openapi.json"),
    });
  });
});

test.each([
  ["PATCH", "/status", "GET"],
  ["GET", "/allocate", "POST"],
  ["DELETE", "/deallocate/0", "POST"],
  ["PUT", "/openapi.json", "GET"],
])("a path without this method: 405, with those that there are: %s %s", async (method, path, allowed) => {
  const reply = await fetch(fleet.url + path, { method });
  expect([reply.status, reply.headers.get("allow")]).toEqual([405, allowed]);
  expect(await reply.json()).toEqual({ detail: `There is no ${method} ${path}`, code: "method_not_allowed" });
});

test("every reply carries a request id: one of its own, or the caller's", async () => {
  const paths = [
    "/health",
    "/sessions",
    "/status",
    "/nowhere",
    "/session/0/health",
    "/session/99/health",
    "/session/0/gone",
  ];
  for (const path of paths) {
    expect((await get(path)).headers["x-request-id"], path).toMatch(/./);
    expect((await get(path).set("X-Request-Id", "mine-1")).headers["x-request-id"], path).toBe("mine-1");
  }
  for (const accept of ["application/json", "application/x-ndjson", "text/event-stream"]) {
    const reply = await execute(0, "1").set("Accept", accept).set("X-Request-Id", "mine-2");
    expect(reply.headers["x-request-id"], accept).toBe("mine-2");
  }
});
