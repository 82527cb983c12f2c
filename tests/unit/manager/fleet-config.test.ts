import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorText } from "#contract/errors.ts";
import { ConfigError } from "#manager/config-error.ts";
import { readFleetConfig } from "#manager/fleet-config.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleet-config-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(yaml: string) {
  const file = join(folder, "fleet.yml");
  await writeFile(file, yaml);
  return await readFleetConfig(file, "home");
}
const refusal = (yaml: string) => read(yaml).catch((error: unknown) => error);

describe("bootstrap", () => {
  test("may name sessions in short and in long form", async () => {
    const yaml = `
bootstrap:
  - mw@lab
  - alone
  - { name: fields, type: python }
  - name: long
    namespace: lab
    idle_timeout: null
    lifetime: 60
    detached: true
    env: { A: "1" }
`;
    expect(await read(yaml)).toEqual({
      bootstrap: [
        { name: { name: "mw", namespace: "lab" }, spec: {} },
        { name: { name: "alone", namespace: "home" }, spec: {} },
        { name: { name: "fields", namespace: "home" }, spec: { type: "python" } },
        {
          name: { name: "long", namespace: "lab" },
          spec: { idle_timeout: null, lifetime: 60, detached: true, env: { A: "1" } },
        },
      ],
    });
  });

  test.each(["", "# nothing yet\n", "bootstrap: []", "{}"])("may be left out: %j", async (yaml) => {
    expect(await read(yaml)).toEqual({ bootstrap: [] });
  });

  test("may have one name in two namespaces", async () => {
    expect((await read("bootstrap: [mw@a, mw@b, mw]")).bootstrap).toHaveLength(3);
  });
});

describe("what is wrong in it is told with the file's name", () => {
  test("every problem at once", async () => {
    const error = await refusal(`
bootstrap:
  - 7@lab
  - ses_x
  - mw@a b
  - { name: ok, idle_timeout: -1, env: { A: 1 } }
  - { name: ok, idle: 3 }
strap: []
`);
    expect(error).toBeInstanceOf(ConfigError);
    const text = String(error);
    expect(text).toContain("FLEET_CONFIG_FILE: ");
    expect(text).toContain("fleet.yml: ");
    for (const part of [
      "bootstrap[0].name",
      "bootstrap[1].name",
      "bootstrap[2].namespace",
      "bootstrap[3].idle_timeout",
      "bootstrap[3].env.A",
      "bootstrap[4]",
      '"idle"',
      '"strap"',
    ])
      expect(text).toContain(part);
  });

  test.each([
    ["no YAML", "bootstrap: [\n  mw,,", "fleet.yml: line 2, column 6: Unexpected , in flow sequence; line 2"],
    ["a list", "- mw", "expected object"],
    ["a name twice", "bootstrap: [mw@lab, mw@lab]", "mw@lab is bootstrap[0] already\n  → at bootstrap[1]"],
    [
      "a name twice in the manager's namespace",
      "bootstrap: [a, mw, {name: mw}]",
      "mw@home is bootstrap[1] already",
    ],
    [
      "a name twice, once without the manager's namespace",
      "bootstrap: [mw, {name: mw, namespace: home}]",
      "mw@home is",
    ],
    ["an unset field", "bootstrap: [{}]", "bootstrap[0].name"],
    ["a name in a namespace by both forms", "bootstrap: [{name: mw@a, namespace: b}]", "Invalid name"],
  ])("%s", async (_, yaml, message) => {
    const error = await refusal(yaml);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain(message);
  });

  test.each([
    ["a missing quote", 'env: { A: "SECRET\n'],
    ["a line that is out of place", "env:\n      A: SECRET\n    B\n  C: SECRET"],
    ["a reference to nothing", "env: { A: *SECRET }"],
    ["a tag", "env: { A: !SECRET }"],
    ["a tag without an end", "env: { A: !SECRET! x }"],
    ["an escape", 'env: { A: "\\SECRET" }'],
    ["the head of a block", "env:\n      A: |SECRET\n        x"],
    ["a key twice", "env: { A: SECRET, A: SECRET }"],
    ["a second document", "env: { A: SECRET }\n---\nSECRET"],
    ["a variable's bad name", "env: { A-B: SECRET }"],
    ["a value that is none", "env: { A: [SECRET] }"],
    ["text for the environment", "env: SECRET"],
    ["a bad value elsewhere", "detached: SECRET, idle_timeout: SECRET"],
  ])("and none of its values: %s", async (_, yaml) => {
    const error = await refusal(`bootstrap:\n  - name: mw\n    ${yaml}\n`);
    expect(error).toBeInstanceOf(ConfigError);
    expect(errorText(error)).toMatch(/fleet\.yml: ./);
    expect(errorText(error)).not.toContain("SECRET");
  });

  test("a file that is not there", async () => {
    await expect(readFleetConfig("/nowhere/fleet.yml", "home")).rejects.toThrow(
      /^FLEET_CONFIG_FILE: \/nowhere\/fleet.yml: ENOENT/,
    );
  });
});
