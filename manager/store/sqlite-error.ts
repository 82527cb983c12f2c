/** Source: SQLite result codes, SQLITE_BUSY. */
const BUSY = 5;

/** Of SQLite's result codes: read-only, I/O error, full, cannot be opened, busy. */
const STORAGE_FAILURES: ReadonlySet<number> = new Set([8, 10, 13, 14, BUSY]);

/** Whether an error of the database says that somebody else has the file. */
export function isBusy(error: unknown): boolean {
  return resultCodeOf(error) === BUSY;
}

/** Whether an error of the database comes from the disk, and may go away with what ails that. */
export function isStorageFailure(error: unknown): boolean {
  const code = resultCodeOf(error);
  return code !== undefined && STORAGE_FAILURES.has(code);
}

function resultCodeOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number")
    return undefined;
  // The lower byte of an extended result code is the plain one.
  return error.errcode & 0xff;
}
