import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { promisify } from "node:util";

const run = promisify(execFile);

const BUDGET_MS = 10_000;

/** Where Linux keeps POSIX shared memory, semaphores and message queues. */
const SHARED_MEMORY = ["/dev/shm", "/dev/mqueue"];

/** Ends every process of the user that runs this, whatever became its parent or session, but itself. */
const END_PROCESSES = "kill -9 -1 2>/dev/null; exit 0";

/**
 * Removes what the user that runs this owns below the given folders, also where it shut itself out or a path is too long
 * to be named; and System V shared memory, semaphores and queues, which lie in no folder. A folder that is the user's
 * itself is open to user and group again, as it was.
 */
const REMOVE_FILES = `
user=$(id -u)
ipcrm --all 2>/dev/null
for folder; do
  [ -d "$folder" ] || continue
  [ ! -O "$folder" ] || chmod 770 "$folder"
  chmod -R u+rwx "$folder" 2>/dev/null
  find "$folder" -mindepth 1 -user "$user" -delete 2>/dev/null
  left=$(find "$folder" -mindepth 1 -user "$user" 2>/dev/null | head -n 1)
  [ -z "$left" ] || { echo "$left stays behind" >&2; exit 1; }
done
`;

/**
 * What a tenant may leave behind outside of its kernel: processes in sessions of their own, files, shared memory. It is
 * cleared by the tenant's own user, who alone may do so in every case, and who has nothing else here. Without a user for
 * kernels alone nothing is touched: the rest of that user's belongings is not ours.
 */
export class Remains {
  readonly #user: { uid: number; gid: number } | undefined;
  readonly #folders: readonly string[];
  #filesExpected = false;

  constructor(user: { uid: number; gid: number } | undefined, workingDir: string | undefined) {
    this.#user = user;
    this.#folders = [...(workingDir === undefined ? [] : [workingDir]), tmpdir(), ...SHARED_MEMORY];
  }

  /** @throws {Error} when that takes too long. */
  async endProcesses(): Promise<void> {
    if (this.#user === undefined) return;
    await run("/bin/sh", ["-c", END_PROCESSES], { ...this.#user, cwd: "/", timeout: BUDGET_MS });
  }

  /** A tenant has ended: its files go before the next kernel starts, however often that has to be tried. */
  expectFiles(): void {
    this.#filesExpected = true;
  }

  /** @throws {Error} when something stays behind. */
  async removeFiles(): Promise<void> {
    if (this.#user === undefined || !this.#filesExpected) return;
    const args = ["-c", REMOVE_FILES, "sh", ...this.#folders];
    await run("/bin/sh", args, { ...this.#user, cwd: "/", timeout: BUDGET_MS });
    this.#filesExpected = false;
  }
}
