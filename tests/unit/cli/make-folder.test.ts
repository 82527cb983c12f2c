import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { makeFolder } from "#cli/make-folder.ts";

let parent: string;

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), "make-folder-"));
  onTestFinished(() => rm(parent, { recursive: true }));
});

test("a folder is made with those above it, once", async () => {
  const path = join(parent, "a", "b");
  expect(await makeFolder(path, 0o700)).toBe(true);
  expect(await makeFolder(path, 0o700)).toBe(false);
  for (const made of [path, join(parent, "a")]) expect((await stat(made)).mode & 0o777).toBe(0o700);
});

test("of several that race to make it, none fails", async () => {
  const path = join(parent, "a", "b", "c");
  await Promise.all(Array.from({ length: 20 }, () => makeFolder(path)));
  expect((await stat(path)).isDirectory()).toBe(true);
});

test("where none can be made, that is said", async () => {
  const file = join(parent, "file");
  await writeFile(file, "");
  await expect(makeFolder(file)).rejects.toThrow("EEXIST");
  await expect(makeFolder(join(file, "a"))).rejects.toThrow(/EEXIST|ENOTDIR/);
  await expect(makeFolder("/proc/no/such/folder")).rejects.toThrow("ENOENT");
});
