import type { SessionId } from "#contract/ids.ts";
import type { Session } from "#manager/sessions/session.ts";

/** Of sessions that are not detached. */
export const IDLE_TIMEOUT_MS = 60_000;

/** A session as the client remembers it that was told of it. */
interface Claim {
  executor: number;
  /** The process in which it was opened. */
  bootId: string | undefined;
  detached: boolean;
  lastUsedMs: number;
}

/** What there really is. */
export interface Facts {
  nowMs: number;
  session: (id: SessionId) => Session | undefined;
  endReason: (id: SessionId) => string | undefined;
  /** The process that an executor runs, and the one that the manager believes it to run. */
  bootOf: (executor: number) => string | undefined;
  knownBootOf: (executor: number) => string | undefined;
  isInUse: (id: SessionId) => boolean;
}

/** What clients were told of their sessions, to be held against what is. Every method throws when the two disagree. */
export class ClientMemory {
  readonly #claims = new Map<SessionId, Claim>();
  readonly #dead = new Set<SessionId>();

  /** Sessions that have not ended as far as clients know. */
  get claimed(): SessionId[] {
    return [...this.#claims.keys()];
  }

  /** A client learns that it has a session. */
  told(session: Session, { bootId, nowMs }: { bootId: string | undefined; nowMs: number }): void {
    const { id, executorNumber: executor, terms } = session;
    assert(!this.#dead.has(id), `the ended id ${id} was issued again`);
    if (this.#claims.has(id)) return;
    this.#claims.set(id, { executor, bootId, detached: terms.detached, lastUsedMs: nowMs });
  }

  used(id: SessionId, nowMs: number): void {
    const claim = this.#claims.get(id);
    if (claim) claim.lastUsedMs = nowMs;
  }

  answered(id: SessionId): void {
    assert(!this.#dead.has(id), `the ended id ${id} is answered`);
  }

  refused(id: SessionId): void {
    this.#dead.add(id);
  }

  /** A session that a client was told of is there, in the process in which it was opened, or ended for a true reason. */
  check(facts: Facts): void {
    for (const [id, claim] of this.#claims) {
      const session = facts.session(id);
      const isIdle =
        !facts.isInUse(id) && !claim.detached && facts.nowMs >= claim.lastUsedMs + IDLE_TIMEOUT_MS;
      if (!session) {
        this.#checkEnd(id, claim, isIdle, facts);
        continue;
      }
      assert(!isIdle, `session ${id} is idle and goes on`);
      assert(session.executorNumber === claim.executor, `session ${id} moved`);
      const kept = facts.knownBootOf(claim.executor) === claim.bootId;
      assert(session.state.name !== "open" || kept, `session ${id} lost its state and says that it is open`);
    }
  }

  #checkEnd(id: SessionId, { executor, bootId }: Claim, isIdle: boolean, facts: Facts): void {
    const reason = facts.endReason(id);
    assert(reason !== undefined, `session ${id} is lost without a reason`);
    assert(!reason.startsWith("idle") || isIdle, `session ${id} was not ${reason}`);
    const survives = facts.bootOf(executor) === bootId;
    assert(!reason.startsWith("executor") || !survives, `session ${id} ended (${reason}), its process lives`);
    this.#claims.delete(id);
    this.#dead.add(id);
  }
}

/** @throws {Error} `what` unless it holds */
export function assert(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}
