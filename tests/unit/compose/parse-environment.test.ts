import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseEnvironment, parseEnvironmentFile } from "#compose/parse-environment.ts";

describe("parseEnvironment", () => {
  test("one text may hold several variables, and later ones win", () => {
    expect(parseEnvironment(["A=1,B=2", "A=3"])).toEqual({ ok: true, value: { A: "3", B: "2" } });
  });

  test("a comma that no name follows belongs to the value", () => {
    expect(parseEnvironment(["LIST=a,b,c=d"])).toEqual({ ok: true, value: { LIST: "a,b", c: "d" } });
    expect(parseEnvironment(["LIST=a, b=,=,1=2"])).toEqual({ ok: true, value: { LIST: "a, b=,=,1=2" } });
  });

  test("a value may be empty, and holds every = after the first", () => {
    expect(parseEnvironment(["A=", "B=x=y"])).toEqual({ ok: true, value: { A: "", B: "x=y" } });
  });

  test.each([
    ["A", '"A" is not NAME=VALUE'],
    ["=1", '"=1" is not NAME=VALUE'],
    ["9A=1", '"9A" is not a variable name'],
    ["__proto__=1", '"__proto__" is not a variable name'],
    ["A B=1", '"A B" is not a variable name'],
    ["PORT=1", "PORT is reserved: the generator sets it"],
    ["EXECUTOR_STOP_WITH_STDIN=1", "EXECUTOR_STOP_WITH_STDIN is reserved: the generator sets it"],
    ["CONTAINER_RESTARTS=", "CONTAINER_RESTARTS is reserved: the generator sets it"],
    ["KERNEL_USER=0:0", "KERNEL_USER is reserved: the generator sets it"],
    ["FLEET_API_KEYS=k", "FLEET_API_KEYS is reserved: FLEET_ variables are the manager's"],
  ])("%j is refused", (text, problem) => {
    expect(parseEnvironment([text])).toEqual({ ok: false, problems: [problem] });
  });

  test("any value without a comma stays as it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        fc.pre(!/[\0,]/.test(value));
        expect(parseEnvironment([`NAME=${value}`])).toEqual({ ok: true, value: { NAME: value } });
      }),
    );
  });
});

test("an environment file has quotes, comments and the same names", () => {
  expect(parseEnvironmentFile('# c\nA="x y"\nexport B=2 # c\n')).toEqual({
    ok: true,
    value: { A: "x y", B: "2" },
  });
  expect(parseEnvironmentFile("HOST=0.0.0.0\nFLEET_X=1")).toMatchObject({
    ok: false,
    problems: [expect.stringContaining("FLEET_X"), expect.stringContaining("HOST")],
  });
});
