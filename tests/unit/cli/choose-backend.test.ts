import { expect, test } from "vitest";
import { describeChoice, refusalToFallBack } from "#cli/choose-backend.ts";
import { CliContext } from "#cli/cli-context.ts";
import { assertTakesUp } from "#cli/takes-up.ts";

const failure = (code: string) => Object.assign(new Error(`connect ${code} /var/run/docker.sock`), { code });

test.each([
  ["nothing is there", "ENOENT", {}, undefined],
  ["nothing listens", "ECONNREFUSED", { DOCKER_HOST: "" }, undefined],
  ["this user may not use the engine", "EACCES", {}, expect.stringContaining("group docker")],
  [
    "an engine is named",
    "ECONNREFUSED",
    { DOCKER_HOST: "tcp://engine:2375" },
    expect.stringContaining("unset"),
  ],
])(
  "where %s (%s), processes stand in for containers only if nobody asked for these",
  (_what, code, env, refusal) => {
    expect(refusalToFallBack(failure(code), env)).toEqual(refusal);
  },
);

test("the user is told what was chosen, and why that", () => {
  expect(describeChoice({ name: "process" })).toBe("backend: process");
  const because = "no Docker engine answers: connect ENOENT";
  expect(describeChoice({ name: "process", because })).toBe(`backend: process (${because})`);
});

test("executors of another backend are not left behind for ever", () => {
  const context = new CliContext({ env: {}, args: [], mainFile: "/p/dist/fleet.js" });
  const process = { name: "process" } as const;
  expect(() => assertTakesUp(process, undefined, context)).not.toThrow();
  expect(() => assertTakesUp(process, "process", context)).not.toThrow();
  expect(() => assertTakesUp(process, "docker", context)).toThrow(/--backend docker: .* "fleet down"/);
});
