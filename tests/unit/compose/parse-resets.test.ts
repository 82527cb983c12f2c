import { describe, expect, test } from "vitest";
import { parseResets } from "#compose/parse-resets.ts";

const types = [
  { type: "python", count: 2 },
  { type: "typescript", count: 1 },
];

describe("parseResets", () => {
  test("one kind is that of every type", () => {
    expect(parseResets("container", types)).toEqual({
      ok: true,
      value: { python: "container", typescript: "container" },
    });
  });

  test("a type that is left out has the default", () => {
    expect(parseResets("typescript=kernel", types)).toEqual({ ok: true, value: { typescript: "kernel" } });
  });

  test("each type may have its own kind", () => {
    expect(parseResets("python=container, typescript=kernel", types)).toEqual({
      ok: true,
      value: { python: "container", typescript: "kernel" },
    });
  });

  test("every problem is told once", () => {
    expect(
      parseResets("both,python=none,ruby=kernel,typescript=kernel,typescript=container,", types),
    ).toEqual({
      ok: false,
      problems: [
        '"both" is neither kernel nor container nor TYPE=KIND with one of these',
        '"python=none" is neither kernel nor container nor TYPE=KIND with one of these',
        'no executor is of type "ruby": types are python, typescript',
        'type "typescript" is given twice',
        '"" is neither kernel nor container nor TYPE=KIND with one of these',
      ],
    });
  });

  test("no type is unknown where the types could not be read", () => {
    expect(parseResets("ruby=kernel", undefined)).toMatchObject({ ok: true });
  });
});
