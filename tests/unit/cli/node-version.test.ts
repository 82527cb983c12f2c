import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { z } from "zod";
import { NEEDED_NODE_MAJOR, problemOfNode } from "#cli/node-version.ts";

test.each(["20.20.2", "22.18.0", "23.11.1"])(
  "under Node %s the command says which one it needs",
  (version) => {
    expect(problemOfNode(version)).toContain(`Node ${NEEDED_NODE_MAJOR} or later, and this is ${version}`);
  },
);

test.each([`${NEEDED_NODE_MAJOR}.0.0`, "100.0.0", process.versions.node])(
  "under Node %s it runs",
  (version) => {
    expect(problemOfNode(version)).toBeUndefined();
  },
);

test("it needs the Node that the package says", async () => {
  const schema = z.object({ engines: z.object({ node: z.string() }) });
  const { engines } = schema.parse(JSON.parse(await readFile("package.json", "utf8")));
  expect(engines.node).toBe(`>=${NEEDED_NODE_MAJOR}`);
});

test("nothing is loaded before the look at the version, since an old Node could not read it", async () => {
  const importsOf = async (file: string) => (await readFile(file, "utf8")).match(/^import .*$/gm);
  expect(await importsOf("cli/main.ts")).toEqual(['import { problemOfNode } from "./node-version.ts";']);
  expect(await importsOf("cli/node-version.ts")).toBeNull();
});
