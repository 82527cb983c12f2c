import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { ERRORS, type ErrorCode } from "#contract/errors.ts";
import { startTestFleet, type TestFleet } from "#tests/support/manager.ts";
import { SessionApi } from "#tests/support/session-api.ts";

const documentSchema = z.object({
  openapi: z.literal("3.1.0"),
  paths: z.record(
    z.string(),
    z.record(
      z.string(),
      z.looseObject({
        parameters: z.array(z.looseObject({ name: z.string(), in: z.string() })).default([]),
        requestBody: z.looseObject({ content: z.record(z.string(), z.unknown()) }).optional(),
        responses: z.record(z.string(), z.looseObject({ description: z.string() })),
      }),
    ),
  ),
});

let fleet: TestFleet;
let api: SessionApi;
let paths: z.infer<typeof documentSchema>["paths"];

beforeAll(async () => {
  fleet = await startTestFleet(["python"], { lookUp: { tries: 1, backOffMs: 1, totalMs: 1 } });
  api = new SessionApi(fleet.url);
  paths = documentSchema.parse(await (await api.call("GET", "/openapi.json")).json()).paths;
});
afterAll(() => fleet[Symbol.asyncDispose]());

const REF: ErrorCode[] = ["invalid_request", "unknown_container", "unknown_session", "session_ended"];
const OPENING: ErrorCode[] = ["no_executor_free", "too_many_waiting", "storage_failed", "shutting_down"];
const ASKED: ErrorCode[] = [...REF, ...OPENING, "executor_unavailable"];
const SPEC: ErrorCode[] = [
  ...OPENING,
  "malformed_json",
  "invalid_request",
  "unknown_type",
  "env_unsupported",
  "executor_unavailable",
  "executor_bad_reply",
];

/** What each route may be refused with besides what any request may be. */
const REFUSALS: Readonly<Record<string, ErrorCode[]>> = {
  "get /health": [],
  "get /status": [],
  "get /connection": [],
  "get /readyz": [],
  "get /events": [],
  "get /sessions": ["invalid_request"],
  "post /allocate": SPEC,
  "post /deallocate/{ref}": ["invalid_request", "not_allocated", "storage_failed"],
  "post /restart": [],
  "get /session/{ref}": [...REF, ...OPENING],
  "put /session/{ref}": [...SPEC, "session_conflict"],
  "delete /session/{ref}": [...REF, "storage_failed"],
  "post /session/{ref}/renew": [...REF, "malformed_json", "storage_failed"],
  "post /session/{ref}/execute": [
    ...ASKED,
    "malformed_json",
    "unsupported_media_type",
    "not_allocated",
    "queue_full",
    "executor_bad_reply",
  ],
  "get /session/{ref}/health": ASKED,
  "get /session/{ref}/ready": ASKED,
  "get /session/{ref}/restart-status": ASKED,
  "post /session/{ref}/restart": ASKED,
  "post /session/{ref}/interrupt": ASKED,
};
const ANY: ErrorCode[] = ["unauthorized", "foreign_origin", "foreign_host", "body_too_large", "internal"];

function operation(route: string) {
  const [method = "", path = ""] = route.split(" ");
  const found = paths[path]?.[method];
  if (!found) throw new Error(`the document has no ${route}`);
  return found;
}

describe("the document", () => {
  test("has every route", () => {
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(routes.toSorted()).toEqual(Object.keys(REFUSALS).toSorted());
  });

  test.each(Object.entries(REFUSALS))("tells with which statuses and codes %s refuses", (route, codes) => {
    const { responses } = operation(route);
    for (const code of new Set([...codes, ...ANY])) {
      expect(responses[ERRORS[code].status]?.description, code).toMatch(
        ERRORS[code].status === 503 && route === "get /readyz" ? /./ : new RegExp(`\\b${code}\\b`),
      );
    }
    const statuses = new Set([...codes, ...ANY].map((code) => String(ERRORS[code].status)));
    const more = Object.keys(responses).filter((status) => Number(status) >= 400 && !statuses.has(status));
    expect(more).toEqual(route === "get /readyz" ? ["503"] : []);
  });

  test.each([
    "get /session/{ref}",
    "post /session/{ref}/execute",
    "get /session/{ref}/health",
    "get /session/{ref}/ready",
    "get /session/{ref}/restart-status",
    "post /session/{ref}/restart",
    "post /session/{ref}/interrupt",
  ])("tells that %s takes auto_create", (route) => {
    const { parameters } = operation(route);
    expect(parameters).toContainEqual(
      expect.objectContaining({
        in: "query",
        name: "auto_create",
        required: false,
        schema: expect.objectContaining({
          type: "string",
          enum: expect.arrayContaining(["1", "true", "0", "false"]),
        }),
      }),
    );
  });

  test.each(["post /allocate", "put /session/{ref}", "post /deallocate/{ref}"])(
    "tells that %s takes wait",
    (route) => {
      expect(operation(route).parameters).toContainEqual(
        expect.objectContaining({ in: "query", name: "wait", required: false }),
      );
    },
  );

  test("tells in which types code may come", () => {
    const { requestBody } = operation("post /session/{ref}/execute");
    expect(Object.keys(requestBody?.content ?? {})).toEqual([
      "application/json",
      "text/plain",
      "text/x-python",
    ]);
  });

  test("tells everywhere how a session may be meant", () => {
    const operations = Object.entries(paths)
      .filter(([path]) => path.includes("{ref}"))
      .flatMap(([, methods]) => Object.values(methods));
    for (const { parameters } of operations) {
      const description = expect.stringContaining("name@namespace");
      expect(parameters).toContainEqual(expect.objectContaining({ in: "path", name: "ref", description }));
    }
  });
});

describe("what is answered is in the document", () => {
  test.each<[string, string, number, unknown?]>([
    ["get /health", "/health", 200],
    ["get /status", "/status", 200],
    ["get /connection", "/connection", 200],
    ["get /readyz", "/readyz", 200],
    ["get /sessions", "/sessions", 200],
    ["get /sessions", "/sessions?namespace=a&namespace=b", 422],
    ["post /allocate", "/allocate?container_type=cobol", 400],
    ["post /allocate", "/allocate?wait=long", 422],
    ["post /deallocate/{ref}", "/deallocate/0", 400],
    ["post /deallocate/{ref}", "/deallocate/0?wait=long", 422],
    ["post /restart", "/restart", 200],
    ["get /session/{ref}", "/session/0", 404],
    ["get /session/{ref}", "/session/ses_x", 422],
    ["get /session/{ref}", "/session/mw?auto_create=maybe", 422],
    ["put /session/{ref}", "/session/mw", 400, { type: "cobol" }],
    ["put /session/{ref}", "/session/mw?wait=long", 422],
    ["put /session/{ref}", "/session/mw", 422, { idle: 1 }],
    ["delete /session/{ref}", "/session/99", 404],
    ["post /session/{ref}/renew", "/session/mw/renew", 404],
    ["post /session/{ref}/execute", "/session/0/execute", 415],
    ["post /session/{ref}/execute", "/session/0/execute", 422, { cod: "1" }],
    ["post /session/{ref}/execute", "/session/99/execute", 404, { code: "1" }],
    ["get /session/{ref}/health", "/session/99/health", 404],
    ["get /session/{ref}/ready", "/session/0/ready", 200],
    ["post /session/{ref}/interrupt", "/session/0/interrupt?auto_create=maybe", 422],
  ])("%s: %s is %i", async (route, path, status, json) => {
    const method = route.split(" ")[0]?.toUpperCase() ?? "";
    const reply = await api.call(method, path, json === undefined ? {} : { json });
    await reply.body?.cancel();
    expect(reply.status).toBe(status);
    expect(Object.keys(operation(route).responses)).toContain(String(status));
  });

  test("a busy fleet is a 503, whatever would be opened on it, and wait may be in the query or in the body", async () => {
    await fleet.allocate();
    const asked: [string, string, string, unknown?][] = [
      ["post /allocate", "POST", "/allocate?wait=0"],
      ["put /session/{ref}", "PUT", "/session/mw?wait=0"],
      ["put /session/{ref}", "PUT", "/session/mw", { wait: 0 }],
      ["put /session/{ref}", "PUT", "/session/mw?wait=0", { wait: 60 }],
    ];
    for (const [route, method, path, json] of asked) {
      const reply = await api.call(method, path, json === undefined ? {} : { json });
      expect([path, reply.status, await reply.json()]).toMatchObject([
        path,
        503,
        { code: "no_executor_free", hint: expect.stringContaining("?wait=SECONDS") },
      ]);
      expect(operation(route).responses).toHaveProperty("503");
    }
  });

  test.each([
    ["POST", "/allocate"],
    ["PUT", "/session/mw"],
    ["POST", "/session/0/execute"],
  ])(
    "what is no JSON is hinted at the document, not at another route's body: %s %s",
    async (method, path) => {
      const headers = { "content-type": "application/json" };
      const reply = await fetch(fleet.url + path, { method, headers, body: "{" });
      expect([reply.status, await reply.json()]).toMatchObject([
        422,
        { code: "malformed_json", hint: "See /openapi.json for the body that is expected here." },
      ]);
    },
  );
});
