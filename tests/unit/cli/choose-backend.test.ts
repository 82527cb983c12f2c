import { expect, test } from "vitest";
import { refusalToFallBack } from "#cli/choose-backend.ts";

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
