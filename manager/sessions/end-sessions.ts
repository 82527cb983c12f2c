import { existsSync } from "node:fs";
import { join } from "node:path";
import { DATABASE_FILE, openDatabase } from "#manager/store/database.ts";
import { SessionStore } from "./session-store.ts";

/**
 * Ends every session of a data directory whose executors are gone. Their ids stay dead, with the reason.
 *
 * @throws {DataDirError} while a manager holds the directory
 * @throws {ServiceError} `storage_failed`
 */
export function endSessions(dataDir: string, reason: string): void {
  if (!existsSync(join(dataDir, DATABASE_FILE))) return;
  const database = openDatabase(dataDir);
  try {
    const store = new SessionStore(database);
    for (const { id } of store.live()) store.end(id, reason, Date.now());
  } finally {
    database.close();
  }
}
