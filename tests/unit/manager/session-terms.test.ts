import { describe, expect, test } from "vitest";
import { sessionSpecSchema, type SessionSpec } from "#contract/manager-api.ts";
import { assertFits, envTermsOf, termsOf } from "#manager/sessions/session-terms.ts";

const DEFAULTS = { idleTimeoutMs: 60_000 };
const NAME = { name: "mw", namespace: "lab" };

describe("the terms of a session", () => {
  test("are the manager's where the spec leaves them out", () => {
    expect(termsOf({}, DEFAULTS)).toMatchObject({ detached: false, idleTimeoutMs: 60_000, lifetimeMs: null });
  });

  test.each<[string, SessionSpec, number | null]>([
    ["as asked", { idle_timeout: 1.5 }, 1500],
    ["as asked, in whole milliseconds", { idle_timeout: 0.0016 }, 2],
    ["never, when asked", { idle_timeout: null }, null],
    ["never, for a detached one", { detached: true }, null],
    ["as a detached one asks", { detached: true, idle_timeout: 2 }, 2000],
  ])("idle time: %s", (_, spec, idleTimeoutMs) => {
    expect(termsOf(spec, DEFAULTS).idleTimeoutMs).toBe(idleTimeoutMs);
  });

  test("know an environment by its names and a hash, whatever their order, and never its values", () => {
    const terms = envTermsOf({ B: "secret-value", A: "1" });
    expect(terms.names).toEqual(["A", "B"]);
    expect(terms).toEqual(envTermsOf({ A: "1", B: "secret-value" }, terms.hash.split(":")[0]));
    expect(terms.hash).not.toBe(envTermsOf({ A: "1", B: "secret-value" }).hash);
    expect(JSON.stringify(terms)).not.toContain("secret-value");
  });

  test.each([
    [{ A: "1B" }, { A: "1", B: "" }],
    [{ A: "1" }, { A: "2" }],
    [{ A: '","B":"' }, { A: "", B: "" }],
    [{}, { A: "" }],
  ])("tell the environments %j and %j apart", (one, other) => {
    expect(envTermsOf(one, "salt").hash).not.toBe(envTermsOf(other, "salt").hash);
  });
});

describe("a spec", () => {
  const existing = (spec: SessionSpec) => ({ terms: termsOf(spec, DEFAULTS), type: "python" });

  test.each<[string, SessionSpec, SessionSpec]>([
    ["nothing", { lifetime: 5, detached: true, env: { A: "1" } }, {}],
    ["the manager's default by its value", {}, { idle_timeout: 60 }],
    ["no lifetime", {}, { lifetime: null }],
    ["not detached", {}, { detached: false }],
    ["an empty environment", {}, { env: {} }],
    ["the same variables in another order", { env: { A: "1", B: "2" } }, { env: { B: "2", A: "1" } }],
    ["its type", {}, { type: "python" }],
  ])("fits that asks for %s", (_, spec, asked) => {
    expect(() => assertFits(NAME, existing(spec), asked)).not.toThrow();
  });

  test("that does not fit is a 409 which names each difference, and no value of a variable", () => {
    const is = existing({ env: { A: "secret-value" }, idle_timeout: null });
    const asked = {
      type: "typescript",
      idle_timeout: 1,
      lifetime: 2.5,
      detached: true,
      env: { A: "other-value" },
    };
    expect(() => assertFits(NAME, is, asked)).toThrow(
      expect.objectContaining({
        status: 409,
        code: "session_conflict",
        message:
          "Session mw@lab exists with another spec: type is python, not typescript; idle_timeout is never, not 1 s; " +
          "lifetime is never, not 2.5 s; it is not detached; env has other variables or values",
      }),
    );
  });

  test.each([
    ["a variable's name that is none", { env: { "1A": "secret-value" } }],
    ["a value with NUL", { env: { A: "secret-value\0" } }],
    ["a negative limit", { lifetime: -1 }],
    ["no limit at all", { idle_timeout: 0 }],
    ["an idle time that would be none in whole milliseconds", { idle_timeout: 0.0004 }],
    ["such a lifetime", { lifetime: 0.0004 }],
    ["a limit beyond a year", { idle_timeout: 1e9 }],
    ["a word that it does not know", { idle: 1 }],
  ])("with %s is refused, and no value repeated", (_, spec) => {
    const parsed = sessionSpecSchema.safeParse(spec);
    expect(parsed.success).toBe(false);
    expect(String(parsed.error)).not.toContain("secret-value");
  });
});

test("the shortest limit is a millisecond, and a shorter one is told so", () => {
  expect(sessionSpecSchema.safeParse({ idle_timeout: 0.001, lifetime: 0.001 }).success).toBe(true);
  expect(sessionSpecSchema.safeParse({ lifetime: 0.0009 }).error?.issues).toMatchObject([
    { path: ["lifetime"], message: "Too small: at least 0.001 s" },
  ]);
});
