import { randomBytes } from "node:crypto";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { executorDigits } from "#compose/fleet-spec.ts";
import { executorNumberSchema } from "#contract/ids.ts";
import { parseJson } from "#contract/json.ts";

/** What the next manager has to know of an executor that runs. */
const executorRecordSchema = z.object({
  number: executorNumberSchema,
  type: z.string(),
  // The ids below mean this process's own group and every process when they are signalled.
  pid: z.int().min(2),
  startTime: z.string(),
  /** Path of the socket on which it listens. */
  socket: z.string(),
  token: z.string(),
  /** Hash of everything that it was started with. */
  fingerprint: z.string(),
});
export type ExecutorRecord = z.infer<typeof executorRecordSchema>;

const PREFIX = "executor-";
/** Room in `sockaddr_un.sun_path`, the final zero left out; Linux has four more. */
const MAX_SOCKET_PATH = 103;

/** The folder that outlives the managers of a fleet: a record and a socket for each executor. */
export class ExecutorRecords {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Makes the folder. Its mode decides who reaches the sockets. */
  async make(): Promise<void> {
    await mkdir(this.#dir, { recursive: true });
    await chmod(this.#dir, 0o700);
  }

  /** Every record that can be read, by number. What no version of ours wrote, or one of another time, is none. */
  async list(): Promise<ExecutorRecord[]> {
    const files = (await this.#names()).filter((name) => name.endsWith(".json"));
    const texts = await Promise.all(files.map((name) => readFile(join(this.#dir, name), "utf8")));
    return texts.flatMap((text) => executorRecordSchema.safeParse(parseJson(text)).data ?? []);
  }

  async write(record: ExecutorRecord): Promise<void> {
    // A machine that goes down takes the processes along, so that nothing has to reach the disk at once.
    await writeFileAtomic(this.#file(record), `${JSON.stringify(record)}\n`, { mode: 0o600, fsync: false });
  }

  /** Forgets an executor and removes its socket. */
  async remove({ number, socket }: Pick<ExecutorRecord, "number" | "socket">): Promise<void> {
    await rm(this.#file({ number }), { force: true });
    await rm(socket, { force: true });
    if (dirname(socket) !== this.#dir) await removeIfEmpty(dirname(socket));
  }

  /** Removes everything that belongs to none of these: what a manager left that was killed in the middle of a start. */
  async removeOthers(kept: readonly ExecutorRecord[]): Promise<void> {
    const wanted = new Set(kept.flatMap((record) => [this.#file(record), record.socket]));
    const others = (await this.#names()).map((name) => join(this.#dir, name));
    await Promise.all(others.filter((path) => !wanted.has(path)).map((path) => rm(path, { force: true })));
  }

  /** Removes the folder when nothing is in it. */
  async removeFolder(): Promise<void> {
    await removeIfEmpty(this.#dir);
  }

  /** A path that no executor ever listened on: one that is slow to end removes its own socket alone. */
  async newSocket(number: number): Promise<string> {
    const name = `${PREFIX}${executorDigits(number)}-${randomBytes(3).toString("hex")}.sock`;
    const path = join(this.#dir, name);
    if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return path;
    return join(await mkdtemp(join(tmpdir(), "fleet-")), name);
  }

  #file({ number }: Pick<ExecutorRecord, "number">): string {
    return join(this.#dir, `${PREFIX}${executorDigits(number)}.json`);
  }

  /** The names of all that is ours in the folder; none where there is no folder. */
  async #names(): Promise<string[]> {
    const names = await readdir(this.#dir).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    return names.filter((name) => basename(name).startsWith(PREFIX)).toSorted();
  }
}

async function removeIfEmpty(dir: string): Promise<void> {
  await rmdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOTEMPTY" && error.code !== "ENOENT") throw error;
  });
}
