import { chmod } from "node:fs/promises";
import { dirname } from "node:path";
import { submissionDirectory } from "#compose/executor-link.ts";
import { findPath, problemsOfWriting } from "./find-path.ts";
import { makeFolder } from "./make-folder.ts";

/** What stops this user from making the directory that holds the submission directories, before that is tried. */
export async function problemsOfMaking(parent: string): Promise<string[]> {
  const { kind } = await findPath(parent, parent);
  // What is there may hold them already, so that nothing would have to be made.
  if (kind !== "missing") return [];
  const above = dirname(parent);
  switch ((await findPath(above, above)).kind) {
    case "file":
      return [`${JSON.stringify(above)} is a file, not a directory`];
    case "directory":
      return await problemsOfWriting(above);
    case "missing":
      return above === parent ? [] : await problemsOfMaking(above);
  }
}

/** The directory of one executor for what user code hands in. */
export interface SubmissionDirectory {
  path: string;
  /** Whether it was made now. */
  made: boolean;
}

/**
 * Makes one submission directory for each executor. User code may run as a user of the image that this machine does
 * not know, and nobody but root may give a directory away: so that it is open to all, inside a parent that is not. The
 * engine mounts the inner one and so never passes through its parent. What is there already is left as it is.
 *
 * @throws {Error} of the file system
 */
export async function makeSubmissionDirectories(
  parent: string,
  count: number,
): Promise<SubmissionDirectory[]> {
  await makeFolder(parent, 0o700);
  const directories: SubmissionDirectory[] = [];
  for (const path of submissionPaths(parent, count)) {
    const made = await makeFolder(path);
    if (made) await chmod(path, 0o777);
    directories.push({ path, made });
  }
  return directories;
}

/** Paths of the submission directories, whether they are there or not. */
export function submissionPaths(parent: string, count: number): string[] {
  return Array.from({ length: count }, (_, number) => submissionDirectory(parent, number));
}
