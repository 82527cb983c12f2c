import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { builtInType, type BuiltInType } from "#compose/executor-types.ts";
import { CannotStart } from "./cannot-start.ts";
import type { FleetSpec } from "#compose/fleet-spec.ts";
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

/** The image of a built-in type. */
export interface ExecutorImage {
  /** With a hash of what it is built from as its tag, so that it never serves for other sources than its own. */
  name: string;
  target: string;
}

/** What the types of a fleet run on. */
export interface Images {
  /** By type. */
  names: Map<string, string>;
  /** Those that have to be built first. */
  missing: { type: string; image: ExecutorImage }[];
}

/**
 * Finds the image of each type, and looks whether those that are built here are there.
 *
 * @throws {CannotStart} for a type that has none
 */
export async function lookForImages(
  engine: Engine,
  { spec, projectDir }: { spec: Pick<FleetSpec, "types">; projectDir: string },
  signal: AbortSignal,
): Promise<Images> {
  const images: Images = { names: new Map(), missing: [] };
  for (const { type, image: mapped } of spec.types) {
    if (images.names.has(type)) continue;
    const image = mapped === undefined ? await executorImage(projectDir, type) : undefined;
    images.names.set(type, image?.name ?? mapped ?? "");
    if (image && !(await engine.hasImage(image.name, signal))) images.missing.push({ type, image });
  }
  return images;
}

/** The image that serves a type without the user's own. */
async function executorImage(projectDir: string, type: string): Promise<ExecutorImage> {
  const { image, target } = requireBuiltIn(type);
  return { name: `${image}:${await hashFiles(projectDir)}`, target };
}

/** @throws {CannotStart} for a type that is not built in */
export function requireBuiltIn(type: string): BuiltInType {
  const builtIn = builtInType(type);
  if (builtIn) return builtIn;
  throw new CannotStart(`there is no image for type ${type}: map it, as in ${type}=image:tag`);
}

/**
 * Builds the image from the project's own files.
 *
 * @throws {Error} with the builder's message, or of the connection to the engine
 */
export async function buildExecutorImage(
  engine: Engine,
  projectDir: string,
  { name, target }: ExecutorImage,
  { onProgress, signal }: { onProgress: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  onProgress(`building image ${name}, once; this takes a minute or two`);
  const dockerfile = "Dockerfile.executor";
  const build = { context: projectDir, files: BUILD_FILES, dockerfile, target, tag: name };
  const onLine = (line: string) => {
    if (line.startsWith("Step ")) onProgress(line);
  };
  try {
    await engine.buildImage(build, { onLine, signal });
  } catch (error) {
    throw new Error(`image ${name} cannot be built`, { cause: error });
  }
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
