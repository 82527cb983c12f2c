import { describe, expect, test } from "vitest";
import { parseTypes, unknownTypeProblems } from "#compose/parse-types.ts";

describe("parseTypes", () => {
  test("a repeated type adds up and keeps the place where it came first", () => {
    expect(parseTypes("python:2,typescript:1,python:3")).toEqual({
      ok: true,
      value: [
        { type: "python", count: 5, image: undefined },
        { type: "typescript", count: 1, image: undefined },
      ],
    });
  });

  test("name=image maps a type to an image, with its tag, registry port or digest", () => {
    const image = `localhost:5000/team/r-exec:1.2@sha256:${"a".repeat(64)}`;
    expect(parseTypes(`r:1,r=${image}`)).toEqual({ ok: true, value: [{ type: "r", count: 1, image }] });
  });

  test.each([
    ["", '"" is neither TYPE:COUNT nor TYPE=IMAGE (for example python:2)'],
    ["python", '"python" is neither TYPE:COUNT nor TYPE=IMAGE (for example python:2)'],
    ["python:0", '"python:0" is neither TYPE:COUNT nor TYPE=IMAGE (for example python:2)'],
    ["python:-1", '"python:-1" is neither TYPE:COUNT nor TYPE=IMAGE (for example python:2)'],
    ["python:1.5", '"python:1.5" is neither TYPE:COUNT nor TYPE=IMAGE (for example python:2)'],
    ["a: {b:1", '"a: {b:1" is neither TYPE:COUNT nor TYPE=IMAGE (for example python:2)'],
    ["r=my/r:1", 'type "r" has an image but no count: add r:1'],
    ["r:1,r=My Image", '"My Image" in "r=My Image" is not an image name'],
    ["r:1,r=a:1,r=b:1", 'type "r" is mapped to two images, a:1 and b:1'],
    ["r:1,1r=a", '"1r" in "1r=a" is not a type name'],
  ])("%j is refused", (text, problem) => {
    expect(parseTypes(text)).toEqual({ ok: false, problems: [problem] });
  });

  test("every bad entry of a list is told", () => {
    expect(parseTypes("x,python:2,y:z")).toMatchObject({
      ok: false,
      problems: [expect.stringContaining('"x"'), expect.stringContaining('"y:z"')],
    });
  });
});

test("a type that is neither built in nor mapped is unknown, and the message says what to do", () => {
  expect(unknownTypeProblems([{ type: "ruby", count: 1 }])).toEqual([
    'unknown type "ruby": built in are python and typescript; name its image with ruby=IMAGE',
  ]);
  expect(
    unknownTypeProblems([
      { type: "python", count: 1 },
      { type: "ruby", count: 1, image: "r:1" },
    ]),
  ).toEqual([]);
});
