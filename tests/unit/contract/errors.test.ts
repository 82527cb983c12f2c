import { describe, expect, test } from "vitest";
import { z } from "zod";
import {
  errorBodySchema,
  ERRORS,
  errorText,
  invalidRequest,
  ServiceError,
  type ErrorCode,
} from "#contract/errors.ts";

const codes = z
  .array(z.custom<ErrorCode>((code) => typeof code === "string" && code in ERRORS))
  .parse(Object.keys(ERRORS));

describe("the error table", () => {
  test.each(codes)("%s makes a body that the clients' schema accepts, with its status", (code) => {
    const error = new ServiceError(code, "what happened");
    expect(error.status).toBe(ERRORS[code].status);
    expect(errorBodySchema.parse(error.toBody())).toMatchObject({ detail: "what happened", code });
  });

  test("what may succeed later without anybody's doing is 429 or 503, and nothing else is", () => {
    for (const code of codes) {
      const { status, retryable } = ERRORS[code];
      expect([code, retryable]).toEqual([code, status === 429 || status === 503]);
    }
  });

  test.each(codes.filter((code) => ERRORS[code].status < 500 && !["method_not_allowed"].includes(code)))(
    "%s, which the caller can put right, says how or speaks for itself",
    (code) => {
      const selfExplaining: ErrorCode[] = ["invalid_request", "not_allocated"];
      expect("hint" in ERRORS[code] || selfExplaining.includes(code)).toBe(true);
    },
  );
});

test("an invalid request tells every problem with its place", () => {
  const schema = z.object({ code: z.string(), deep: z.object({ list: z.array(z.number()) }) });
  const { error } = schema.safeParse({ deep: { list: [1, "2"] } });
  const refused = invalidRequest(error ?? new z.ZodError([]), "body");
  expect(refused.status).toBe(422);
  expect(refused.detail).toEqual([
    { loc: ["body", "code"], msg: expect.stringContaining("expected string") },
    { loc: ["body", "deep", "list", 1], msg: expect.stringContaining("expected number") },
  ]);
});

describe("the text of what was thrown", () => {
  test.each([
    ["an error", new Error("a"), "a"],
    ["an error with causes", new Error("a", { cause: new Error("b", { cause: new Error("c") }) }), "a: b: c"],
    ["several errors without a message of their own", new AggregateError([new Error("a"), "b"], ""), "a; b"],
    ["what is no error", "gone", "gone"],
  ])("of %s", (_, thrown, text) => {
    expect(errorText(thrown)).toBe(text);
  });
});
