import { setImmediate as nextTurn } from "node:timers/promises";
import type { DatabaseSync } from "node:sqlite";
import { pino } from "pino";
import { ServiceError } from "#contract/errors.ts";
import { executorNumberSchema, type SessionId } from "#contract/ids.ts";
import type { Executor } from "#manager/fleet/executor.ts";
import { sessionOf } from "#manager/fleet/executor.ts";
import { Fleet } from "#manager/fleet/fleet.ts";
import { SessionResolver } from "#manager/sessions/session-resolver.ts";
import { SessionStore } from "#manager/sessions/session-store.ts";
import { Sessions } from "#manager/sessions/sessions.ts";
import type { ResetOptions } from "#manager/fleet/reset.ts";
import type { Session } from "#manager/sessions/session.ts";
import { openDatabase } from "#manager/store/database.ts";
import { assert, ClientMemory, IDLE_TIMEOUT_MS } from "./client-memory.ts";

const log = pino({ level: "silent" });

/**
 * Sessions over executors that exist as states only, with a clock of their own: crashes, resets and the death of the
 * manager happen when they are asked for. What clients were told is remembered, and held against what is.
 */
export class SessionWorld implements AsyncDisposable {
  readonly types: readonly string[];
  readonly #database: DatabaseSync = openDatabase(undefined);
  /** The process that each executor runs at the moment, whether a manager knows it or not. */
  readonly #boots: string[];
  #bootCount = 0;
  nowMs = 1_000_000;
  fleet!: Fleet;
  sessions!: Sessions;
  resolver!: SessionResolver;
  store!: SessionStore;
  /** Resets that are under way. */
  #resets: { executor: Executor; owed: boolean; done: () => void }[] = [];
  readonly #uses = new Map<SessionId, Disposable[]>();
  #diskWorks = true;
  readonly #clients = new ClientMemory();
  /** Clients that wait for an executor. */
  readonly #waiters = new Set<{ type: string | undefined }>();
  /** The processes in which a session may have left something behind. */
  readonly #dirty = new Set<string | undefined>();

  constructor(types: readonly string[]) {
    this.types = types;
    this.#boots = types.map(() => this.#newBoot());
    this.#boot();
  }

  /** Every id that clients were told of and that has not ended, as far as they know. */
  get claimed(): SessionId[] {
    return this.#clients.claimed;
  }

  get pendingResets(): number {
    return this.#resets.length;
  }

  async allocate(type: string | undefined): Promise<void> {
    await this.#acknowledge(this.sessions.allocate({ type }, { waitMs: 0, signal: NEVER }));
  }

  async ensure(name: string, namespace: string, detached: boolean): Promise<void> {
    const ensuring = this.resolver.ensure({ name, namespace }, { detached }, { waitMs: 0, signal: NEVER });
    await this.#acknowledge(ensuring.then(({ session }) => session));
  }

  /** Waits for an executor until `leave` is called; tells what it got. */
  queueUp(type: string | undefined): { leave: () => void; served: Promise<void> } {
    const hangUp = new AbortController();
    const waiter = { type };
    this.#waiters.add(waiter);
    const waiting = this.sessions.allocate({ type }, { waitMs: 1_000_000, signal: hangUp.signal });
    const served = this.#acknowledge(waiting).finally(() => this.#waiters.delete(waiter));
    return { leave: () => hangUp.abort(), served };
  }

  release(id: SessionId): void {
    this.#expectAnswer(id, () => void this.sessions.end(this.#find(id), "released"));
  }

  renew(id: SessionId): void {
    this.#expectAnswer(id, () => {
      this.sessions.renew(this.#find(id), {});
      this.#touch(id);
    });
  }

  /** Something begins to run in a session. */
  begin(id: SessionId): void {
    this.#expectAnswer(id, () => {
      const session = this.#find(id);
      this.#uses.set(id, [...(this.#uses.get(id) ?? []), session.use()]);
    });
  }

  finish(id: SessionId): void {
    const use = this.#uses.get(id)?.pop();
    use?.[Symbol.dispose]();
    if (use) this.#touch(id);
  }

  advance(ms: number): void {
    this.nowMs += ms;
    this.sessions.reap();
  }

  /** An executor's process dies; another one takes its place. */
  crash(number: number): void {
    this.#boots[number] = this.#newBoot();
    this.fleet.markLost(executorNumberSchema.parse(number), { reason: "crashed by the test" });
  }

  /** An executor does not answer for a while. */
  silence(number: number): void {
    this.fleet.markLost(executorNumberSchema.parse(number), { reason: "silenced by the test" });
  }

  /** A probe reaches an executor; what it finds there is what the prober would make of it. */
  probe(number: number): void {
    const executor = this.fleet.get(number);
    const { state } = executor;
    if (state.name !== "starting" && state.name !== "unhealthy") return;
    const bootId = this.#boots[number];
    const survived = bootId === executor.bootId;
    const unused = executor.usedBootId !== bootId;
    executor.bootId = bootId;
    const sessionId = sessionOf(state);
    if (sessionId && survived) {
      this.fleet.changeState(executor, { name: "allocated", sessionId });
      return this.#touch(sessionId);
    }
    if (unused) return this.fleet.changeState(executor, { name: "free" });
    void this.#reset(executor, "used before");
  }

  /** The oldest reset comes to its end: the executor is clean, or it is lost. */
  async finishReset(succeeds: boolean): Promise<void> {
    const [reset] = this.#resets;
    // What the disk still knows as a session has to stay as it is.
    if (!reset || (reset.owed && !this.#diskWorks)) return;
    this.#resets.shift();
    const { executor, done } = reset;
    if (executor.state.name === "resetting") {
      if (succeeds) {
        this.#boots[executor.number] = this.#newBoot();
        executor.bootId = this.#boots[executor.number];
        this.fleet.changeState(executor, { name: "free" });
      } else this.fleet.markLost(executor.number, { reason: "the reset failed" });
    }
    done();
    await nextTurn();
  }

  /** The disk refuses to be written, or takes it again. */
  setDisk(works: boolean): void {
    this.#diskWorks = works;
    this.#database.exec(`PRAGMA query_only = ${works ? 0 : 1}`);
    if (works) this.sessions.reap();
  }

  /** The manager is killed and another one takes over: what was in memory is gone, what is on disk is not. */
  async killManager(): Promise<void> {
    this.setDisk(true);
    for (const uses of this.#uses.values()) for (const use of uses) use[Symbol.dispose]();
    this.#uses.clear();
    this.#resets = [];
    await this.fleet[Symbol.asyncDispose]();
    this.#boot();
    for (const id of this.claimed) this.#touch(id);
  }

  /** Brings everything to rest, so that every executor is free or held. */
  async settle(): Promise<void> {
    for (const { number } of this.fleet.executors) this.probe(number);
    while (this.#resets.length > 0) await this.finishReset(true);
    await nextTurn();
  }

  /** @throws {Error} that says what does not add up */
  check(): void {
    const { fleet, sessions } = this;
    const counts = fleet.countByState();
    const sum = counts.free + counts.allocated + counts.starting + counts.resetting + counts.unhealthy;
    assert(sum === this.types.length, `the counts add up to ${sum} of ${this.types.length}`);
    const live = sessions.all;
    const held = new Map(live.map((session) => [session.executorNumber, session]));
    assert(held.size === live.length, "two sessions hold one executor");
    assert(live.length <= this.types.length, "there are more sessions than executors");
    for (const executor of fleet.executors) this.#checkExecutor(executor, held.get(executor.number));
    const names = live.flatMap(({ terms: { name } }) => (name ? [`${name.name}@${name.namespace}`] : []));
    assert(new Set(names).size === names.length, "two sessions have one name");
    this.#clients.check({
      nowMs: this.nowMs,
      session: (id) => live.find((session) => session.id === id),
      endReason: (id) => this.store.endReason(id),
      bootOf: (number) => this.#boots[number],
      knownBootOf: (number) => fleet.get(number).bootId,
      isInUse: (id) => (this.#uses.get(id)?.length ?? 0) > 0,
    });
    const onDisk = this.store.live().length;
    assert(!this.#diskWorks || onDisk === live.length, "the disk has other sessions than the memory");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.fleet[Symbol.asyncDispose]();
    this.#database.close();
  }

  #boot(): void {
    this.fleet = new Fleet(log);
    this.fleet.add(this.types.map((type, index) => ({ number: executorNumberSchema.parse(index), type })));
    this.store = new SessionStore(this.#database);
    const resetter = {
      reset: (executor: Executor, { reason, first }: ResetOptions) =>
        this.#reset(executor, reason, first !== undefined),
    };
    const parts = { fleet: this.fleet, store: this.store, resetter, log, now: () => this.nowMs };
    this.sessions = new Sessions(parts, {
      allocation: "open",
      idleTimeoutMs: IDLE_TIMEOUT_MS,
      maxQueued: 32,
      maxWaiting: 1_000,
      startWaitMs: 1_000,
    });
    this.resolver = new SessionResolver(this.sessions, this.store, {
      namespace: "default",
      lookUp: { tries: 1, backOffMs: 0, totalMs: 0 },
      autoCreate: false,
      createWaitMs: 0,
    });
    this.sessions.restore();
  }

  #newBoot(): string {
    this.#bootCount += 1;
    return `boot-${this.#bootCount}`;
  }

  #reset(executor: Executor, reason: string, owed = false): Promise<void> {
    this.fleet.changeState(executor, { name: "resetting", reason });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#resets.push({ executor, owed, done: resolve });
    return promise;
  }

  #touch(id: SessionId): void {
    this.#clients.used(id, this.nowMs);
  }

  #find(id: SessionId): Session {
    const { session } = this.sessions.find({ sessionId: id });
    if (!session) throw new Error(`session ${id} was found without being there`);
    return session;
  }

  /** A client learns that it has a session, or that it gets none. */
  async #acknowledge(opening: Promise<Session>): Promise<void> {
    try {
      const session = await opening;
      this.#clients.told(session, { bootId: this.#boots[session.executorNumber], nowMs: this.nowMs });
    } catch (error) {
      if (!(error instanceof ServiceError) && !(error instanceof DOMException)) throw error;
    }
  }

  /** A call by id works, or is answered with 410; in that case it is for ever. */
  #expectAnswer(id: SessionId, call: () => void): void {
    try {
      call();
      this.#clients.answered(id);
    } catch (error) {
      if (error instanceof ServiceError && error.code === "storage_failed" && !this.#diskWorks) return;
      if (!(error instanceof ServiceError) || error.code !== "session_ended") throw error;
      this.#clients.refused(id);
    }
  }

  #checkExecutor({ number, type, state }: Executor, session: Session | undefined): void {
    const id = sessionOf(state);
    assert(
      id === session?.id,
      `executor ${number} is ${state.name} for ${id}, its session is ${session?.id}`,
    );
    if (state.name === "allocated") this.#dirty.add(this.#boots[number]);
    const isWanted = [...this.#waiters].some((waiter) => (waiter.type ?? type) === type);
    assert(state.name !== "free" || !isWanted, `executor ${number} is free and waited for`);
    if (state.name === "free")
      assert(!this.#dirty.has(this.#boots[number]), `executor ${number} is free and dirty`);
  }
}

const NEVER = new AbortController().signal;
