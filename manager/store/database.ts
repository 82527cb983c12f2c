import { chmodSync, closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { errorText } from "#contract/errors.ts";
import { isBusy } from "./sqlite-error.ts";

/** The manager's file in its data directory. */
export const DATABASE_FILE = "fleet.db";

/** Steps from one layout of the file to the next; the file's `user_version` counts those that are done. */
const MIGRATIONS = [
  `CREATE TABLE session (
     id TEXT PRIMARY KEY,
     name TEXT,
     namespace TEXT,
     executor INTEGER NOT NULL,
     boot_id TEXT,
     type TEXT NOT NULL,
     detached INTEGER NOT NULL,
     idle_timeout_ms INTEGER,
     lifetime_ms INTEGER,
     env_names TEXT NOT NULL,
     env_hash TEXT NOT NULL,
     created_at INTEGER NOT NULL,
     ends_at INTEGER,
     ended_at INTEGER,
     end_reason TEXT
   ) STRICT, WITHOUT ROWID;
   CREATE UNIQUE INDEX session_of_name ON session (namespace, name) WHERE ended_at IS NULL;
   CREATE UNIQUE INDEX session_of_executor ON session (executor) WHERE ended_at IS NULL;
   CREATE INDEX ended_session ON session (ended_at) WHERE ended_at IS NOT NULL;
   CREATE INDEX ended_session_of_name ON session (name, ended_at) WHERE name IS NOT NULL AND ended_at IS NOT NULL;
   CREATE TABLE lease (executor INTEGER PRIMARY KEY, boot_id TEXT) STRICT;`,
];

/** The data directory cannot be used; the message says why and what to do. */
export class DataDirError extends Error {
  override readonly name = "DataDirError";
}

/**
 * Opens the embedded database of a data directory and holds it until it is closed or this process ends, however that
 * ends: the lock is the operating system's. Without a directory everything is kept in memory.
 *
 * A commit is on its way to disk when it returns: it outlives this process, not a power failure, which no kernel
 * outlives either.
 *
 * @throws {DataDirError} when another manager holds the directory, or the file cannot be used
 */
export function openDatabase(dataDir: string | undefined): DatabaseSync {
  const file = dataDir === undefined ? ":memory:" : join(dataDir, DATABASE_FILE);
  let database: DatabaseSync | undefined;
  try {
    // One level alone: the `recursive` of mkdir never comes to an end where nothing can be made, as below /proc.
    if (dataDir !== undefined && !existsSync(dataDir)) mkdirSync(dataDir, { mode: 0o700 });
    if (dataDir !== undefined) keepFromOthers(file);
    database = new DatabaseSync(file, { timeout: 0 });
    // The order counts: in this locking mode the write-ahead log needs no shared memory, and the first write locks.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    migrate(database);
    return database;
  } catch (error) {
    database?.close();
    if (isBusy(error)) {
      const message = `another manager uses the data directory ${dataDir}: stop it, or give this one a directory of its own`;
      throw new DataDirError(message, { cause: error });
    }
    throw new DataDirError(`cannot use ${file}: ${errorText(error)}`, { cause: error });
  }
}

/**
 * Makes the file, and its write-ahead log if one is left, readable for its owner alone: the folder may let others in.
 * SQLite gives what it makes beside a file the mode of the file. One that is there is not opened, since closing it
 * would take this process's locks on it away.
 */
function keepFromOthers(file: string): void {
  if (!existsSync(file)) closeSync(openSync(file, "a", 0o600));
  for (const existing of [file, `${file}-wal`].filter((path) => existsSync(path))) chmodSync(existing, 0o600);
}

function migrate(database: DatabaseSync): void {
  database.exec("BEGIN EXCLUSIVE");
  const row = database.prepare("PRAGMA user_version").get();
  const done = Number(row?.["user_version"] ?? 0);
  if (done > MIGRATIONS.length) throw new Error("it was written by a later version of executor-fleet");
  for (const step of MIGRATIONS.slice(done)) database.exec(step);
  database.exec(`PRAGMA user_version = ${MIGRATIONS.length}; COMMIT`);
}

/** Runs the steps as one transaction: all of them are kept, or none. */
export function transaction<T>(database: DatabaseSync, steps: () => T): T {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = steps();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
