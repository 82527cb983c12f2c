import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder, and those above it, unless they are there. Not by the `recursive` of `mkdir`, which never comes to an
 * end where nothing can be made, as below /proc.
 *
 * @returns whether it was made now
 * @throws {Error} of the file system
 */
export async function makeFolder(path: string, mode?: number): Promise<boolean> {
  if (await isFolder(path)) return false;
  if (dirname(path) !== path) await makeFolder(dirname(path), mode);
  try {
    await mkdir(path, mode);
    return true;
  } catch (error) {
    // Somebody else may have made it meanwhile.
    if (await isFolder(path)) return false;
    throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}
