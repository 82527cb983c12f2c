import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as delay } from "node:timers/promises";
import { errorText } from "#contract/errors.ts";
import { isBusy } from "#manager/store/sqlite-error.ts";
import { CliError } from "./cli-error.ts";
import { makeFolder } from "./make-folder.ts";

const RETRY_INTERVAL_MS = 100;

/**
 * A lock between processes. SQLite takes it on an empty file with the operating system's file locks, so that it ends
 * with its process, however that ends: nothing stale is ever left.
 */
export class ExclusiveLock implements Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * @returns the lock, or undefined while somebody else holds it
   * @throws {CliError} when the file cannot be made
   */
  static async tryTake(file: string): Promise<ExclusiveLock | undefined> {
    try {
      await makeFolder(dirname(file));
      const database = new DatabaseSync(file, { timeout: 0 });
      try {
        // Nothing is written, so that a journal would be one more file and nothing else.
        database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
      } catch (error) {
        database.close();
        throw error;
      }
      return new ExclusiveLock(database);
    } catch (error) {
      if (isBusy(error)) return undefined;
      throw new CliError(`cannot lock ${file}: ${errorText(error)}`, { cause: error });
    }
  }

  /** Waits for the lock. `onWait` is called once when somebody else holds it. Rejects with the signal's reason. */
  static async take(
    file: string,
    { signal, onWait }: { signal: AbortSignal; onWait?: () => void },
  ): Promise<ExclusiveLock> {
    let told = false;
    for (;;) {
      signal.throwIfAborted();
      const lock = await ExclusiveLock.tryTake(file);
      if (lock) return lock;
      if (!told) onWait?.();
      told = true;
      await delay(RETRY_INTERVAL_MS);
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}
