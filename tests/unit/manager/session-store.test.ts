import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { executorNumberSchema } from "#contract/ids.ts";
import type { SessionSpec } from "#contract/manager-api.ts";
import { Session } from "#manager/sessions/session.ts";
import { SessionStore } from "#manager/sessions/session-store.ts";
import { termsOf } from "#manager/sessions/session-terms.ts";
import { openDatabase } from "#manager/store/database.ts";

const NOW_MS = 1_000_000;
let folder: string;
let database: DatabaseSync;
let store: SessionStore;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fleet-store-"));
  openStore();
});
afterEach(async () => {
  database.close();
  await rm(folder, { recursive: true });
});

function openStore(): void {
  database = openDatabase(folder);
  store = new SessionStore(database);
}

/** What the next manager finds. */
function reopened(): SessionStore {
  database.close();
  openStore();
  return store;
}

const number = (value: number) => executorNumberSchema.parse(value);

function sessionOn(executor: number, spec: SessionSpec = {}, name?: string, namespace = "lab"): Session {
  const terms = termsOf(spec, {
    name: name === undefined ? undefined : { name, namespace },
    idleTimeoutMs: 60_000,
  });
  return new Session({
    executorNumber: number(executor),
    type: "python",
    terms,
    maxQueued: 1,
    now: () => NOW_MS,
  });
}

describe("the next manager finds", () => {
  test("every session with its name, limits, names of variables and boot id", () => {
    const spec = { detached: true, idle_timeout: 5, lifetime: 7, env: { B: "2", A: "1" } };
    const first = sessionOn(0, spec, "mw");
    const second = sessionOn(1);
    store.open(first, "boot-1");
    store.open(second, undefined);
    const rows = reopened().live();
    expect(rows).toHaveLength(2);
    expect(rows.find(({ id }) => id === first.id)).toMatchObject({
      name: "mw",
      namespace: "lab",
      executor: 0,
      boot_id: "boot-1",
      type: "python",
      detached: 1,
      idle_timeout_ms: 5000,
      lifetime_ms: 7000,
      env_names: ["A", "B"],
      env_hash: first.terms.env.hash,
      created_at: NOW_MS,
      ends_at: NOW_MS + 7000,
    });
    expect(rows.find(({ id }) => id === second.id)).toMatchObject({
      name: null,
      boot_id: null,
      ends_at: null,
    });
  });

  test("limits as they were renewed", () => {
    const session = sessionOn(0, { lifetime: 7 });
    store.open(session, "boot-1");
    session.renew(session.limitsWith({ idleTimeoutMs: null, lifetimeMs: 9000 }));
    store.setLimits(session.id, session);
    expect(reopened().live()).toMatchObject([
      { idle_timeout_ms: null, lifetime_ms: 9000, ends_at: NOW_MS + 9000 },
    ]);
  });

  test("no session that has ended, but why it did, for its first reason", () => {
    const session = sessionOn(0, {}, "mw");
    store.open(session, "boot-1");
    store.end(session.id, "idle for 60 s", NOW_MS);
    store.end(session.id, "deallocated", NOW_MS + 1);
    expect(reopened().live()).toEqual([]);
    expect(store.endReason(session.id)).toBe("idle for 60 s");
    expect(store.lastEndOf({ name: "mw", namespace: "lab" })).toEqual({
      at: NOW_MS,
      reason: "idle for 60 s",
    });
  });

  test("which executors were not cleaned, until they were", () => {
    const session = sessionOn(0);
    store.open(session, "boot-1");
    store.lease(number(1), undefined);
    store.end(session.id, "deallocated", NOW_MS);
    expect(reopened().leases()).toEqual([
      { executor: 0, bootId: "boot-1" },
      { executor: 1, bootId: undefined },
    ]);
    store.cleaned(number(0));
    expect(reopened().leases()).toEqual([{ executor: 1, bootId: undefined }]);
  });
});

describe("one executor and one name", () => {
  test("have one session: a second is not written, nor its lease", () => {
    store.open(sessionOn(0, {}, "mw"), "boot-1");
    expect(() => store.open(sessionOn(0), "boot-2")).toThrow("UNIQUE constraint failed");
    expect(() => store.open(sessionOn(1, {}, "mw"), "boot-2")).toThrow("UNIQUE constraint failed");
    expect(store.leases()).toEqual([{ executor: 0, bootId: "boot-1" }]);
    store.open(sessionOn(1, {}, "mw", "other"), "boot-2");
    expect(store.namespacesOf("mw")).toEqual(["lab", "other"]);
  });

  test("are given again when the session has ended", () => {
    const first = sessionOn(0, {}, "mw");
    store.open(first, "boot-1");
    store.end(first.id, "deallocated", NOW_MS);
    store.open(sessionOn(0, {}, "mw"), "boot-1");
    expect(store.live()).toHaveLength(1);
    expect(store.lastEndOf({ name: "mw", namespace: "lab" })?.reason).toBe("deallocated");
  });
});

test("what cannot be written is told as such, to be tried again", () => {
  database.exec("PRAGMA query_only = 1");
  expect(() => store.cleaned(number(0))).toThrow(
    expect.objectContaining({ code: "storage_failed", status: 503, cause: expect.any(Error) }),
  );
});

test("no value of a variable is on disk", async () => {
  store.open(sessionOn(0, { env: { TOKEN: "secret-value" } }), "boot-1");
  for (const file of await readdir(folder)) {
    const bytes = await readFile(join(folder, file), "latin1");
    expect(bytes).not.toContain("secret-value");
  }
});
