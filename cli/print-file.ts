import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { CliError } from "./cli-error.ts";
import { writeOut } from "./reporter.ts";

const POLL_INTERVAL_MS = 200;

/**
 * Prints a file. With `follow` it goes on with what is appended, also to a new file of that name, until the signal
 * aborts.
 *
 * @throws {CliError} when there is no such file to print and none is waited for; or the signal's reason
 */
export async function printFile(
  file: string,
  { follow, signal }: { follow: boolean; signal: AbortSignal },
): Promise<void> {
  let inode: number | undefined;
  let position = 0;
  for (;;) {
    signal.throwIfAborted();
    const stats = await stat(file).catch(() => undefined);
    if (!stats && !follow) throw new CliError(`there is no log ${file}`);
    if (stats && (stats.ino !== inode || stats.size < position)) {
      inode = stats.ino;
      position = 0;
    }
    if (stats && stats.size > position) position = await printFrom(file, position, signal);
    else if (!follow) return;
    else await delay(POLL_INTERVAL_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Prints a file from a position on. Returns the position that it came to. */
async function printFrom(file: string, position: number, signal: AbortSignal): Promise<number> {
  let end = position;
  const chunks: AsyncIterable<Buffer> = createReadStream(file, { start: position });
  for await (const chunk of chunks) {
    signal.throwIfAborted();
    await writeOut("stdout", chunk);
    end += chunk.length;
  }
  return end;
}
