import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { builtInType } from "#compose/executor-types.ts";
import type { Engine } from "./engine.ts";

/** Everything of the project that Dockerfile.executor copies into an image. */
const BUILD_FILES = [
  "Dockerfile.executor",
  "package.json",
  "package-lock.json",
  "rolldown.config.ts",
  "contract",
  "compose",
  "executor",
  "manager",
  "client",
  "cli",
];

/** Those of them that decide what an executor's image does: a change elsewhere builds no new image. */
const EXECUTOR_FILES = ["Dockerfile.executor", "package-lock.json", "contract", "executor"];

/**
 * Makes sure that the image of a type is there, building it once from the project's own files. The tag is a hash of
 * those files, so that an image never serves for other sources than its own.
 *
 * @returns the image's name
 * @throws {Error} for an unknown type, or when the build fails
 */
export async function ensureImage(
  engine: Engine,
  projectDir: string,
  type: string,
  { onProgress, signal }: { onProgress: (line: string) => void; signal: AbortSignal },
): Promise<string> {
  const builtIn = builtInType(type);
  if (!builtIn) throw new Error(`there is no image for type ${type}: map it, as in ${type}=image:tag`);
  const tag = `${builtIn.image}:${await hashFiles(projectDir)}`;
  if (await engine.hasImage(tag)) return tag;
  onProgress(`building image ${tag}, once; this takes a minute or two`);
  const { target } = builtIn;
  const build = { context: projectDir, files: BUILD_FILES, dockerfile: "Dockerfile.executor", target, tag };
  const onLine = (line: string) => {
    if (line.startsWith("Step ")) onProgress(line);
  };
  await engine.buildImage(build, { onLine, signal });
  return tag;
}

async function hashFiles(projectDir: string): Promise<string> {
  const hash = createHash("sha256");
  for (const path of EXECUTOR_FILES) {
    for (const file of await filesBelow(projectDir, path)) {
      hash.update(`${file}\0`).update(await readFile(join(projectDir, file)));
    }
  }
  return hash.digest("hex").slice(0, 12);
}

async function filesBelow(projectDir: string, path: string): Promise<string[]> {
  if (path.includes(".")) return [path];
  const entries = await readdir(join(projectDir, path), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".pyc"))
    .map((entry) => join(entry.parentPath, entry.name).slice(projectDir.length + 1))
    .toSorted();
}
