import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../../..");

/** Imports every module but those that are a process, and tells what keeps the process busy then. */
const PROGRAM = `
  import { glob } from "node:fs/promises";
  const files = await Array.fromAsync(glob("manager/**/*.ts", { exclude: (path) => path.endsWith("main.ts") }));
  // Its own output is there before, but counts from when it is first touched.
  const own = [process.stdout, process.stderr];
  const before = process.getActiveResourcesInfo();
  for (const file of files) await import("./" + file);
  await new Promise((resolve) => setImmediate(resolve));
  const opened = process.getActiveResourcesInfo().filter((name) => !before.includes(name));
  console.log(JSON.stringify({ files: files.length, opened }));
`;

test("importing any module of the manager opens nothing, and lets the process end", async () => {
  const flags = ["--input-type=module", "--eval", PROGRAM];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd: ROOT });
  const { files, opened }: { files: number; opened: string[] } = JSON.parse(stdout);
  expect(files).toBeGreaterThan(30);
  expect(opened).toEqual([]);
});
