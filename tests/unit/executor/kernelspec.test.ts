import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { commandOf, environmentOf, findKernelspec } from "#executor/kernel/kernelspec.ts";

let dir: string;
const install = async (place: string, name: string, spec: unknown) => {
  const folder = join(dir, place, "kernels", name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "kernel.json"), typeof spec === "string" ? spec : JSON.stringify(spec));
  return folder;
};
const find = (name: string, env: Record<string, string> = {}) =>
  findKernelspec(name, { python: join(dir, "venv/bin/python"), env: { HOME: dir, ...env } });

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "kernelspec-"));
});
afterEach(() => rm(dir, { recursive: true }));

describe("a kernelspec", () => {
  test("is found in JUPYTER_PATH before the user's folder, and there before the environment of the Python", async () => {
    await install("venv/share/jupyter", "k", { argv: ["environment"], language: "l" });
    expect((await find("k")).argv).toEqual(["environment"]);
    await install(".local/share/jupyter", "k", { argv: ["user"], language: "l" });
    expect((await find("k")).argv).toEqual(["user"]);
    await install("path", "k", { argv: ["path"], language: "l" });
    expect((await find("k", { JUPYTER_PATH: `/nowhere:${join(dir, "path")}` })).argv).toEqual(["path"]);
  });

  test("is interrupted by a signal unless it says otherwise", async () => {
    await install("path", "k", { argv: ["a"], language: "l" });
    expect((await find("k", { JUPYTER_PATH: join(dir, "path") })).interrupt_mode).toBe("signal");
  });

  test("that is nowhere is missed with the places that were looked at", async () => {
    await expect(find("nope")).rejects.toThrow(
      /no kernelspec "nope" in .*\.local\/share\/jupyter\/kernels.*KERNEL_NAME/,
    );
  });

  test("that is malformed is named", async () => {
    await install("path", "k", `{"argv": []}`);
    await expect(find("k", { JUPYTER_PATH: join(dir, "path") })).rejects.toThrow(
      /kernel\.json is not a kernelspec/,
    );
  });

  test("has no name that leads elsewhere", async () => {
    await expect(find("../k")).rejects.toThrow("cannot be the name of a kernelspec");
  });

  test("gives the command with its placeholders filled in, and the executor's own Python", async () => {
    const argv = ["python3", "{resource_dir}/main.py", "-f", "{connection_file}"];
    const resourceDir = await install("path", "k", { argv, language: "l", env: { A: "${B}:a", C: "c" } });
    const spec = await find("k", { JUPYTER_PATH: join(dir, "path") });
    expect(commandOf(spec, "/c.json", "/my/python")).toEqual([
      "/my/python",
      `${resourceDir}/main.py`,
      "-f",
      "/c.json",
    ]);
    expect(environmentOf(spec, { B: "b" })).toEqual({ NO_COLOR: "1", A: "b:a", B: "b", C: "c" });
  });
});
