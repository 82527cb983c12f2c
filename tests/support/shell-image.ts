import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const IMAGE = "executor-fleet-test-shell:1";
const PROGRAMS = ["/bin/sh", "/bin/sleep"];

/**
 * Makes an image of a shell and nothing else, which runs what its environment's `SCRIPT` says: containers that can be
 * told how to end, and that start in a moment. `host` is the engine, as in `docker --host`.
 *
 * @returns the image's name
 */
export async function makeShellImage(host?: string): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "fleet-shell-"));
  try {
    for (const program of PROGRAMS) {
      const { stdout } = await run("ldd", [await realpath(program)]);
      for (const path of [program, ...(stdout.match(/\/\S+/g) ?? [])]) {
        await mkdir(join(root, dirname(path)), { recursive: true });
        await cp(await realpath(path), join(root, path));
      }
    }
    const archive = `${root}/image.tar`;
    await run("tar", ["-C", root, "--exclude=image.tar", "-cf", archive, "."]);
    const command = `CMD ["/bin/sh", "-c", "eval \\"$SCRIPT\\""]`;
    const engine = host === undefined ? [] : ["--host", host];
    await run("docker", [...engine, "import", "--change", command, archive, IMAGE]);
    return IMAGE;
  } finally {
    await rm(root, { recursive: true });
  }
}

/** Removes it from the engine that answers here. */
export async function removeShellImage(): Promise<void> {
  await run("docker", ["image", "rm", IMAGE]);
}
