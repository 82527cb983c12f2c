import { access, constants, stat } from "node:fs/promises";
import type { FoundPath } from "#compose/parse-flags.ts";
import { errorText } from "#contract/errors.ts";

/** What is at a path that a flag names. `source` is how the fleet's description names it. */
export async function findPath(path: string, source: string): Promise<FoundPath> {
  const stats = await stat(path).catch(() => undefined);
  const kind = stats === undefined ? "missing" : stats.isDirectory() ? "directory" : "file";
  return { path, source, kind };
}

/** Why this user cannot make anything in a directory that is there; nothing when that is possible. */
export async function problemsOfWriting(directory: string): Promise<string[]> {
  return await access(directory, constants.W_OK | constants.X_OK).then(
    () => [],
    (error: unknown) => [`cannot write to ${JSON.stringify(directory)}: ${errorText(error)}`],
  );
}
