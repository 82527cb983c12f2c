import type { DatabaseSync, StatementSync } from "node:sqlite";
import { z } from "zod";
import { ServiceError } from "#contract/errors.ts";
import { sessionIdSchema, type ExecutorNumber, type SessionId, type SessionName } from "#contract/ids.ts";
import { transaction } from "#manager/store/database.ts";
import { isStorageFailure } from "#manager/store/sqlite-error.ts";
import type { Session, SessionLimits } from "./session.ts";

/** How many ended ids are known, to tell an ended session from one that never was; about 100 MB on disk. */
const MAX_ENDED = 1_000_000;
/** How many sessions end between two looks at that. */
const PRUNE_EVERY = 10_000;

const rowSchema = z.object({
  id: sessionIdSchema,
  name: z.string().nullable(),
  namespace: z.string().nullable(),
  executor: z.number(),
  boot_id: z.string().nullable(),
  type: z.string(),
  detached: z.number(),
  idle_timeout_ms: z.number().nullable(),
  lifetime_ms: z.number().nullable(),
  env_names: z.string().transform((text) => z.array(z.string()).parse(JSON.parse(text))),
  env_hash: z.string(),
  created_at: z.number(),
  ends_at: z.number().nullable(),
});
/** A session as it is kept. Times in milliseconds since the epoch. */
export type SessionRow = z.infer<typeof rowSchema>;

const leaseSchema = z.object({ executor: z.number(), boot_id: z.string().nullable() });
const endSchema = z.object({ ended_at: z.number(), end_reason: z.string() });
const countSchema = z.object({ count: z.number() });
const namespaceRowSchema = z.object({ namespace: z.string() });

/**
 * Sessions and leases on disk. A lease says that a session holds an executor, or that it was not cleaned of one since;
 * session and lease change in one transaction.
 */
export class SessionStore {
  readonly #database: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #putLease: StatementSync;
  readonly #dropLease: StatementSync;
  readonly #end: StatementSync;
  readonly #setLimits: StatementSync;
  readonly #endOf: StatementSync;
  readonly #endOfName: StatementSync;
  readonly #namespaces: StatementSync;
  readonly #prune: StatementSync;
  /** Ends that are not on disk yet. */
  readonly #owed = new Map<SessionId, { reason: string; at: number }>();
  #endedSincePrune = 0;

  constructor(database: DatabaseSync) {
    this.#database = database;
    this.#insert = database.prepare(
      `INSERT INTO session (id, name, namespace, executor, boot_id, type, detached, idle_timeout_ms, lifetime_ms,
         env_names, env_hash, created_at, ends_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#putLease = database.prepare("INSERT OR REPLACE INTO lease (executor, boot_id) VALUES (?, ?)");
    this.#dropLease = database.prepare("DELETE FROM lease WHERE executor = ?");
    this.#end = database.prepare(
      "UPDATE session SET ended_at = ?, end_reason = ? WHERE id = ? AND ended_at IS NULL",
    );
    this.#setLimits = database.prepare(
      "UPDATE session SET idle_timeout_ms = ?, lifetime_ms = ?, ends_at = ? WHERE id = ?",
    );
    this.#endOf = database.prepare(
      "SELECT ended_at, end_reason FROM session WHERE id = ? AND ended_at IS NOT NULL",
    );
    this.#endOfName = database.prepare(
      `SELECT ended_at, end_reason FROM session WHERE name = ? AND namespace = ? AND ended_at IS NOT NULL
       ORDER BY ended_at DESC LIMIT 1`,
    );
    this.#namespaces = database.prepare(
      "SELECT DISTINCT namespace FROM session WHERE name = ? AND ended_at IS NULL ORDER BY namespace",
    );
    this.#prune = database.prepare(
      `DELETE FROM session WHERE id IN (SELECT id FROM session WHERE ended_at IS NOT NULL ORDER BY ended_at LIMIT ?)`,
    );
  }

  /** @throws {ServiceError} `storage_failed`, as every method that writes */
  open(session: Session, bootId: string | undefined): void {
    const { id, executorNumber, type, terms, createdAt, endsAt } = session;
    this.#write(() => {
      this.#insert.run(
        id,
        terms.name?.name ?? null,
        terms.name?.namespace ?? null,
        executorNumber,
        bootId ?? null,
        type,
        terms.detached ? 1 : 0,
        terms.idleTimeoutMs,
        terms.lifetimeMs,
        JSON.stringify(terms.env.names),
        terms.env.hash,
        createdAt,
        endsAt,
      );
      this.#putLease.run(executorNumber, bootId ?? null);
    });
  }

  /** Notes that an executor is being used for a session of which nobody was told yet. */
  lease(executor: ExecutorNumber, bootId: string | undefined): void {
    this.#write(() => this.#putLease.run(executor, bootId ?? null));
  }

  /** Notes that an executor is clean. */
  cleaned(executor: ExecutorNumber): void {
    this.#write(() => this.#dropLease.run(executor));
  }

  end(id: SessionId, reason: string, at: number): void {
    this.#write(() => {
      this.#end.run(at, reason, id);
      this.#endedSincePrune += 1;
      if (this.#endedSincePrune >= PRUNE_EVERY) this.#pruneEnded();
    });
  }

  /** As {@link end}, for what has ended whatever the disk says: if need be it is written before anything else is. */
  endAnyway(id: SessionId, reason: string, at: number): void {
    this.#owed.set(id, { reason, at });
    try {
      this.payDebts();
    } catch {
      // It stays owed.
    }
  }

  /** Whether the end of a session is not on disk yet. */
  owes(id: SessionId): boolean {
    return this.#owed.has(id);
  }

  /** Writes the ends that are not on disk yet. */
  payDebts(): void {
    if (this.#owed.size > 0) this.#write(() => undefined);
  }

  setLimits(id: SessionId, { terms, endsAt }: SessionLimits): void {
    this.#write(() => this.#setLimits.run(terms.idleTimeoutMs, terms.lifetimeMs, endsAt, id));
  }

  /** Why a session ended; undefined for one that has not, or is not known. */
  endReason(id: SessionId): string | undefined {
    return this.#owed.get(id)?.reason ?? endSchema.optional().parse(this.#endOf.get(id))?.end_reason;
  }

  /** When the last session of that name ended, and why. */
  lastEndOf({ name, namespace }: SessionName): { at: number; reason: string } | undefined {
    const row = endSchema.optional().parse(this.#endOfName.get(name, namespace));
    return row && { at: row.ended_at, reason: row.end_reason };
  }

  /** The namespaces in which there is a session of that name. */
  namespacesOf(name: string): string[] {
    return z
      .array(namespaceRowSchema)
      .parse(this.#namespaces.all(name))
      .map(({ namespace }) => namespace);
  }

  /** The sessions that have not ended, oldest first. */
  live(): SessionRow[] {
    const rows = this.#database
      .prepare("SELECT * FROM session WHERE ended_at IS NULL ORDER BY created_at")
      .all();
    return z.array(rowSchema).parse(rows);
  }

  /** The executors that were not cleaned since a session had them, with the boot id of that time. */
  leases(): { executor: number; bootId: string | undefined }[] {
    const rows = z.array(leaseSchema).parse(this.#database.prepare("SELECT * FROM lease").all());
    return rows.map(({ executor, boot_id }) => ({ executor, bootId: boot_id ?? undefined }));
  }

  #pruneEnded(): void {
    this.#endedSincePrune = 0;
    const row = this.#database
      .prepare("SELECT count(*) AS count FROM session WHERE ended_at IS NOT NULL")
      .get();
    const excess = countSchema.parse(row).count - MAX_ENDED;
    if (excess > 0) this.#prune.run(excess);
  }

  #write(steps: () => unknown): void {
    try {
      transaction(this.#database, () => {
        for (const [id, { reason, at }] of this.#owed) this.#end.run(at, reason, id);
        steps();
      });
      this.#owed.clear();
    } catch (error) {
      if (!isStorageFailure(error)) throw error;
      throw new ServiceError("storage_failed", "The session could not be written to disk", { cause: error });
    }
  }
}
