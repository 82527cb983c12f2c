import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { DATABASE_FILE, DataDirError, openDatabase, transaction } from "#manager/store/database.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleet-database-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Why a data directory cannot be used. */
function refusal(dataDir: string): unknown {
  try {
    openDatabase(dataDir).close();
    return undefined;
  } catch (error) {
    return error;
  }
}

describe("a data directory", () => {
  test("is made where it is not there, for its owner alone", async () => {
    const dataDir = join(folder, "a");
    openDatabase(dataDir).close();
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
  });

  test("that lets others in has files that do not, also those that an earlier manager left", async () => {
    const modesOf = () =>
      Promise.all(
        [DATABASE_FILE, `${DATABASE_FILE}-wal`].map(
          async (name) => (await stat(join(folder, name))).mode & 0o777,
        ),
      );
    await chmod(folder, 0o755);
    const first = openDatabase(folder);
    expect(await modesOf()).toEqual([0o600, 0o600]);
    first.close();
    await chmod(join(folder, DATABASE_FILE), 0o644);
    await writeFile(join(folder, `${DATABASE_FILE}-wal`), "", { mode: 0o644 });
    const second = openDatabase(folder);
    expect(await modesOf()).toEqual([0o600, 0o600]);
    second.close();
  });

  test("has one manager: the second is refused with the reason and a way out, and spoils nothing", () => {
    const first = openDatabase(folder);
    const error = refusal(folder);
    expect(error).toBeInstanceOf(DataDirError);
    expect(String(error)).toContain(
      `another manager uses the data directory ${folder}: stop it, or give this one a directory of its own`,
    );
    transaction(first, () => first.exec("INSERT INTO lease VALUES (0, 'boot-1')"));
    first.close();
    expect(refusal(folder)).toBeUndefined();
  });

  test("written by a later version is refused, and left as it is", () => {
    const database = openDatabase(folder);
    database.exec("PRAGMA user_version = 999");
    database.close();
    expect(String(refusal(folder))).toContain("it was written by a later version of executor-fleet");
    expect(String(refusal(folder))).toContain("it was written by a later version of executor-fleet");
  });

  test("whose file is none of ours is refused with its name", async () => {
    await writeFile(
      join(folder, DATABASE_FILE),
      "something else entirely, and long enough to be looked at\n".repeat(99),
    );
    const error = refusal(folder);
    expect(error).toBeInstanceOf(DataDirError);
    expect(String(error)).toContain(`cannot use ${join(folder, DATABASE_FILE)}: file is not a database`);
  });

  test("that is a file is refused", async () => {
    await writeFile(join(folder, "file"), "");
    expect(String(refusal(join(folder, "file")))).toContain("cannot use");
  });
});

describe("a transaction", () => {
  const count = (database: ReturnType<typeof openDatabase>) =>
    database.prepare("SELECT count(*) AS n FROM lease").get()?.["n"];

  test("is kept as a whole", () => {
    const first = openDatabase(folder);
    transaction(first, () => first.exec("INSERT INTO lease VALUES (0, NULL), (1, NULL)"));
    first.close();
    const second = openDatabase(folder);
    expect(count(second)).toBe(2);
    second.close();
  });

  test("or not at all, and does not stand in the way of the next", () => {
    const database = openDatabase(undefined);
    const failing = () =>
      transaction(database, () => {
        database.exec("INSERT INTO lease VALUES (0, NULL)");
        throw new Error("boom");
      });
    expect(failing).toThrow("boom");
    expect(count(database)).toBe(0);
    transaction(database, () => database.exec("INSERT INTO lease VALUES (1, NULL)"));
    expect(count(database)).toBe(1);
    database.close();
  });
});
