import { describe, expect, test } from "vitest";
import { parseSessionName, parseSessionRef } from "#manager/sessions/session-ref.ts";

const LONGEST = `a${"b".repeat(63)}`;
const ID = "ses_0123456789abcdef01234567";

/** What the refusal says. */
function refusal(text: string): unknown {
  try {
    return parseSessionRef(text, "home");
  } catch (error) {
    return error;
  }
}

describe("a reference is", () => {
  test("an executor number when it is digits alone", () => {
    expect(parseSessionRef("0", "home")).toEqual({ executorNumber: 0 });
    expect(parseSessionRef("007", "home")).toEqual({ executorNumber: 7 });
  });

  test("a session id when it looks like one", () => {
    expect(parseSessionRef(ID, "home")).toEqual({ sessionId: ID });
  });

  test.each([
    ["mw", "mw", "home"],
    ["mw@lab", "mw", "lab"],
    ["a.b-c_d@x.y-z", "a.b-c_d", "x.y-z"],
    ["1a", "1a", "home"],
    ["ses", "ses", "home"],
    [`${LONGEST}@${LONGEST}`, LONGEST, LONGEST],
    ["mw@7", "mw", "7"],
  ])("the name %s, alone in the manager's own namespace", (text, name, namespace) => {
    expect(parseSessionRef(text, "home")).toEqual({ name: { name, namespace } });
  });
});

describe("what cannot be a reference is a 422 that says what is wrong", () => {
  test.each([
    ["ses_x", "name", "that is an executor number or a session id"],
    ["ses_@lab", "name", "that is an executor number or a session id"],
    [`${ID}@lab`, "name", "that is an executor number or a session id"],
    ["7@lab", "name", "that is an executor number or a session id"],
    ["1234567890", "name", "that is an executor number or a session id"],
    ["", "name", "letters, digits, _, . and -, at most 64"],
    ["@lab", "name", "letters, digits, _, . and -, at most 64"],
    ["a/b", "name", "letters, digits, _, . and -, at most 64"],
    ["../etc", "name", "letters, digits, _, . and -, at most 64"],
    ["a b", "name", "letters, digits, _, . and -, at most 64"],
    ["é", "name", "letters, digits, _, . and -, at most 64"],
    ["mw\n", "name", "letters, digits, _, . and -, at most 64"],
    [`${LONGEST}c`, "name", "letters, digits, _, . and -, at most 64"],
    ["mw@", "namespace", "letters, digits, _, . and -, at most 64"],
    ["mw@a@b", "namespace", "letters, digits, _, . and -, at most 64"],
    [`mw@${LONGEST}c`, "namespace", "letters, digits, _, . and -, at most 64"],
  ])("%j", (text, where, what) => {
    expect(refusal(text)).toMatchObject({
      code: "invalid_request",
      status: 422,
      detail: expect.arrayContaining([{ loc: ["path", where], msg: `Invalid ${where}: ${what}` }]),
    });
  });

  test("every problem at once", () => {
    expect(refusal("a b@c d")).toMatchObject({
      detail: [{ loc: ["path", "name"] }, { loc: ["path", "namespace"] }],
    });
  });
});

test("a name that is asked for as such may be neither a number nor an id", () => {
  expect(() => parseSessionName("7", "home")).toThrow("that is an executor number or a session id");
  expect(() => parseSessionName(ID, "home")).toThrow("that is an executor number or a session id");
});
