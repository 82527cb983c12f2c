import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
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
  return await readFleetConfig(file);
}
const refusal = (yaml: string) => read(yaml).catch((error: unknown) => error);

describe("bootstrap", () => {
  test("may name sessions in short and in long form", async () => {
    const yaml = `
bootstrap:
  - mw@lab
  - alone
  - name: long
    namespace: lab
    type: python
    idle_timeout: null
    lifetime: 60
    detached: true
    env: { A: "1" }
`;
    expect(await read(yaml)).toEqual({
      bootstrap: [
        { name: "mw", namespace: "lab" },
        { name: "alone" },
        {
          name: "long",
          namespace: "lab",
          type: "python",
          idle_timeout: null,
          lifetime: 60,
          detached: true,
          env: { A: "1" },
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
    ["no YAML", "bootstrap: [", "fleet.yml: "],
    ["a list", "- mw", "expected object"],
    ["a name twice", "bootstrap: [mw@lab, mw@lab]", "bootstrap names mw@lab twice"],
    ["a name twice in the manager's namespace", "bootstrap: [mw, {name: mw}]", "bootstrap names mw twice"],
  ])("%s", async (_, yaml, message) => {
    const error = await refusal(yaml);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain(message);
  });

  test("a file that is not there", async () => {
    await expect(readFleetConfig("/nowhere/fleet.yml")).rejects.toThrow(
      /^FLEET_CONFIG_FILE: \/nowhere\/fleet.yml: ENOENT/,
    );
  });
});
