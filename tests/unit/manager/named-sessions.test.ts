import { setImmediate as nextTurn } from "node:timers/promises";
import { beforeEach, describe, expect, test } from "vitest";
import { ServiceError } from "#contract/errors.ts";
import { executorNumberSchema, formatSessionName } from "#contract/ids.ts";
import type { SessionSpec } from "#contract/manager-api.ts";
import { NamedSessions } from "#manager/sessions/named-sessions.ts";
import { Session } from "#manager/sessions/session.ts";
import { termsOf } from "#manager/sessions/session-terms.ts";

const NAME = { name: "mw", namespace: "lab" };
const LONG_MS = 60_000;
const IDLE_TIMEOUT_MS = 1_800_000;
const never = new AbortController().signal;

/** Openings that wait for an executor, in the order in which they were asked for. */
let openings: {
  spec: SessionSpec;
  signal: AbortSignal;
  give: (type?: string) => Session;
  refuse: (error: Error) => void;
}[];
let open: Map<string, Session>;
let hasExecutor: boolean;
let named: NamedSessions;

beforeEach(() => {
  openings = [];
  open = new Map();
  hasExecutor = false;
  named = new NamedSessions({
    find: (name) => open.get(formatSessionName(name)),
    hasExecutor: () => hasExecutor,
    termsOf: (spec) => termsOf(spec, { idleTimeoutMs: IDLE_TIMEOUT_MS }),
    open: (name, spec, signal) => {
      const { promise, resolve, reject } = Promise.withResolvers<Session>();
      // What has its executor is not given up at once.
      signal.addEventListener("abort", () => !hasExecutor && reject(signal.reason));
      const give = (type = "python") => {
        const session = sessionOf(spec, type);
        open.set(formatSessionName(name), session);
        resolve(session);
        return session;
      };
      openings.push({ spec, signal, give, refuse: reject });
      return promise;
    },
  });
});

function sessionOf(spec: SessionSpec, type: string): Session {
  const terms = termsOf(spec, { idleTimeoutMs: IDLE_TIMEOUT_MS });
  const executorNumber = executorNumberSchema.parse(0);
  return new Session({ executorNumber, type, terms, maxQueued: 1, now: Date.now });
}

const ensure = (spec: SessionSpec = {}, { waitMs = LONG_MS, signal = never, name = NAME } = {}) =>
  named.ensure(name, spec, { waitMs, signal });
const outcome = (ensuring: Promise<unknown>) => ensuring.catch((error: unknown) => error);

describe("callers that ask for one name at once", () => {
  test("share one opening and one session; exactly one of them is told that it was created", async () => {
    const asking = Array.from({ length: 50 }, () => ensure());
    await nextTurn();
    expect(openings).toHaveLength(1);
    expect(named.isOpening(NAME)).toBe(true);
    const session = openings[0]?.give();
    const told = await Promise.all(asking);
    expect(new Set(told.map((one) => one.session))).toEqual(new Set([session]));
    expect(told.filter(({ created }) => created)).toHaveLength(1);
    expect(named.isOpening(NAME)).toBe(false);
    expect(await ensure()).toEqual({ session, created: false });
  });

  test("open two sessions in two namespaces", async () => {
    void outcome(ensure());
    void outcome(ensure({}, { name: { ...NAME, namespace: "other" } }));
    await nextTurn();
    expect(openings).toHaveLength(2);
  });

  test("all learn why it could not be opened, and the next one tries again", async () => {
    const asking = [outcome(ensure()), outcome(ensure())];
    await nextTurn();
    openings[0]?.refuse(new ServiceError("env_unsupported", "no env here"));
    expect(await Promise.all(asking)).toMatchObject([
      { code: "env_unsupported" },
      { code: "env_unsupported" },
    ]);
    void outcome(ensure());
    await nextTurn();
    expect(openings).toHaveLength(2);
  });
});

describe("another spec is a conflict", () => {
  test("at once, also while the session is still being opened, and spoils nothing for the others", async () => {
    const first = ensure({ env: { A: "1" } });
    await nextTurn();
    expect(await outcome(ensure({ env: { A: "2" }, detached: true }))).toMatchObject({
      status: 409,
      message: expect.stringContaining("it is not detached; env has other variables or values"),
    });
    openings[0]?.give();
    expect(await first).toMatchObject({ created: true });
  });

  test("not when it asks by value for what the manager chose", async () => {
    const asking = [ensure(), ensure({ idle_timeout: IDLE_TIMEOUT_MS / 1000 })];
    await nextTurn();
    openings[0]?.give();
    expect(await Promise.all(asking)).toMatchObject([{ created: true }, { created: false }]);
  });

  test("when who asked first was given another type than who asked later wants", async () => {
    const first = ensure();
    const second = outcome(ensure({ type: "typescript" }));
    await nextTurn();
    openings[0]?.give("python");
    expect(await first).toMatchObject({ created: true });
    expect(await second).toMatchObject({
      message: expect.stringContaining("type is python, not typescript"),
    });
  });
});

describe("callers that leave", () => {
  test("do not spoil it for the others", async () => {
    const hangUp = new AbortController();
    const gone = outcome(ensure({}, { signal: hangUp.signal }));
    const late = outcome(ensure({}, { waitMs: 5 }));
    const stays = ensure();
    await nextTurn();
    hangUp.abort(new Error("hung up"));
    expect(await gone).toMatchObject({ message: "hung up" });
    expect(await late).toMatchObject({
      code: "no_executor_free",
      message: "No executor became free within 0.005 s for session mw@lab",
    });
    expect(openings[0]?.signal.aborted).toBe(false);
    openings[0]?.give();
    expect(await stays).toMatchObject({ created: true });
  });

  test("all of them, give the opening up", async () => {
    const hangUp = new AbortController();
    const asking = [1, 2, 3].map(() => outcome(ensure({}, { signal: hangUp.signal })));
    await nextTurn();
    hangUp.abort(new Error("hung up"));
    await Promise.all(asking);
    expect(openings[0]?.signal.aborted).toBe(true);
    await nextTurn();
    expect(named.isOpening(NAME)).toBe(false);
  });

  test("before they have asked, open nothing", async () => {
    expect(await outcome(ensure({}, { signal: AbortSignal.abort(new Error("gone")) }))).toMatchObject({
      message: "gone",
    });
    await nextTurn();
    expect([openings.length, named.isOpening(NAME)]).toEqual([0, false]);
  });

  test("and leave a session that is being prepared, do not let the next one open a second beside it", async () => {
    const hangUp = new AbortController();
    const gone = outcome(ensure({}, { signal: hangUp.signal }));
    await nextTurn();
    hasExecutor = true;
    hangUp.abort(new Error("hung up"));
    await gone;
    const next = ensure();
    await nextTurn();
    expect(openings).toHaveLength(1);
    openings[0]?.refuse(new Error("given up"));
    await nextTurn();
    expect(openings).toHaveLength(2);
    openings[1]?.give();
    expect(await next).toMatchObject({ created: true });
  });
});

test("who does not want to wait for an executor still gets the one that is being prepared", async () => {
  hasExecutor = true;
  const asking = ensure({}, { waitMs: 0 });
  await new Promise((resolve) => setTimeout(resolve, 5));
  openings[0]?.give();
  expect(await asking).toMatchObject({ created: true });
});
