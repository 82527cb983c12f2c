import * as fc from "fast-check";
import { expect, test } from "vitest";
import { projectName } from "#compose/project-name.ts";

test.each([
  ["work", "docker-compose", "work"],
  ["work", "compose", "work"],
  ["work", "demo", "work-demo"],
  ["My Work!", "Fleet.A", "my-work-fleet-a"],
  ["_x", "", "x"],
  ["", "", "fleet"],
  ["日本", "图", "fleet"],
])("the project of directory %j and file %j is %j", (directory, stem, name) => {
  expect(projectName(directory, stem)).toBe(name);
});

test("whatever a directory and a file are called, Compose takes the name", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (directory, stem) => {
      expect(projectName(directory, stem)).toMatch(/^[a-z0-9][a-z0-9_-]*$/);
    }),
  );
});
