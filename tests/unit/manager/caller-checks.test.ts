import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import { ServiceError } from "#contract/errors.ts";
import { checkCaller, type CallerRules } from "#manager/http/caller-checks.ts";

/** Status and error code of a request; 200 where it was let through. */
async function call(
  rules: Partial<CallerRules>,
  headers: Record<string, string>,
  path = "/session/0/execute",
) {
  const app = new Hono();
  app.use(checkCaller({ apiKeys: [], allowedHosts: [], ...rules }));
  app.all("*", (c) => c.text("in"));
  app.onError((error, c) =>
    error instanceof ServiceError ? c.text(error.code, error.status) : c.text(String(error), 500),
  );
  const reply = await app.request(path, { method: "POST", headers: { host: "localhost:5000", ...headers } });
  const text = await reply.text();
  return reply.status === 200 ? 200 : `${reply.status} ${text}`;
}

describe("a web page of another site is refused", () => {
  test.each([
    [{ "sec-fetch-site": "cross-site" }, "403 foreign_origin"],
    [{ "sec-fetch-site": "same-site" }, "403 foreign_origin"],
    [{ origin: "https://evil.example" }, "403 foreign_origin"],
    [{ origin: "http://localhost:3000" }, "403 foreign_origin"],
    [{ origin: "null" }, "403 foreign_origin"],
    [{ "sec-fetch-site": "none", origin: "https://evil.example" }, "403 foreign_origin"],
    [{}, 200],
    [{ "sec-fetch-site": "same-origin", origin: "http://localhost:5000" }, 200],
    [{ "sec-fetch-site": "none" }, 200],
  ])("%j: %s", async (headers, expected) => {
    expect(await call({}, headers)).toBe(expected);
  });

  test("also where it knows a key, and on /health", async () => {
    const headers = { origin: "https://evil.example", "x-api-key": "k" };
    expect(await call({ apiKeys: ["k"] }, headers)).toBe("403 foreign_origin");
    expect(await call({}, headers, "/health")).toBe("403 foreign_origin");
  });
});

describe("a host name that is not ours is refused: DNS rebinding", () => {
  test.each([
    ["evil.example", "403 foreign_host"],
    ["evil.example:5000", "403 foreign_host"],
    ["127.0.0.1.evil.example", "403 foreign_host"],
    ["localhost.evil.example", "403 foreign_host"],
    ["", "403 foreign_host"],
    ["localhost", 200],
    ["LOCALHOST:5000", 200],
    ["fleet.localhost:5000", 200],
    ["127.0.0.1:5000", 200],
    ["192.168.1.5:5000", 200],
    ["[::1]:5000", 200],
    ["manager:5000", 200],
    ["MANAGER", 200],
  ])("%j: %s", async (host, expected) => {
    expect(await call({ allowedHosts: ["Manager"] }, { host })).toBe(expected);
  });

  test("but with keys any name will do: a foreign page knows no key", async () => {
    const rules = { apiKeys: ["k"] };
    expect(await call(rules, { host: "fleet.example", "x-api-key": "k" })).toBe(200);
    expect(await call(rules, { host: "fleet.example" })).toBe("401 unauthorized");
  });
});

describe("keys", () => {
  const rules = { apiKeys: ["key-1", "key-2"] };
  test.each([
    [{ authorization: "Bearer key-1" }, 200],
    [{ authorization: "bearer key-2" }, 200],
    [{ "x-api-key": "key-2" }, 200],
    [{}, "401 unauthorized"],
    [{ authorization: "Bearer key-3" }, "401 unauthorized"],
    [{ authorization: "Bearer key-1 " }, 200],
    [{ authorization: "Bearer " }, "401 unauthorized"],
    [{ authorization: "Basic key-1" }, "401 unauthorized"],
    [{ authorization: "key-1" }, "401 unauthorized"],
    [{ "x-api-key": "key" }, "401 unauthorized"],
    [{ "x-api-key": "" }, "401 unauthorized"],
    [{ "x-api-key": "wrong", authorization: "Bearer key-1" }, "401 unauthorized"],
  ])("%j: %s", async (headers, expected) => {
    expect(await call(rules, headers)).toBe(expected);
  });

  test("are not asked for on /health, and are on every other path", async () => {
    expect(await call(rules, {}, "/health")).toBe(200);
    for (const path of ["/health/", "/HEALTH", "/healthz", "/status", "/nowhere", "/session/0/health"])
      expect([path, await call(rules, {}, path)]).toEqual([path, "401 unauthorized"]);
  });
});
