import { describe, expect, test } from "vitest";
import { ServiceError } from "#contract/errors.ts";
import { executorNumberSchema } from "#contract/ids.ts";
import type { Execution } from "#manager/executions/execution.ts";
import { Session } from "#manager/sessions/session.ts";
import { SESSION_TRANSITIONS } from "#manager/sessions/session-state.ts";
import { termsOf } from "#manager/sessions/session-terms.ts";

let clockMs = 1_000_000;

/** A session that is open; its clock is the test's. */
const open = (terms: { idleTimeoutMs?: number | null; lifetimeMs?: number } = {}) => {
  const session = new Session({
    executorNumber: executorNumberSchema.parse(0),
    type: "python",
    terms: termsOf(terms.lifetimeMs === undefined ? {} : { lifetime: terms.lifetimeMs / 1000 }, {
      idleTimeoutMs: terms.idleTimeoutMs ?? 1000,
    }),
    maxQueued: 2,
    now: () => clockMs,
  });
  session.change({ name: "open" });
  return session;
};

const never = new AbortController().signal;

/** A run that lasts until it is told to end. */
function openRun(session: Session, signal = never) {
  const { promise, resolve } = Promise.withResolvers<string>();
  return { run: session.enqueue(signal, () => promise), end: resolve };
}

describe("order", () => {
  test("one execution at a time, first come first served", async () => {
    const session = open();
    const log: string[] = [];
    const runs = ["a", "b", "c"].map((name) =>
      session.enqueue(never, async () => {
        log.push(`${name} starts`);
        await Promise.resolve();
        log.push(`${name} ends`);
      }),
    );
    await Promise.all(runs);
    expect(log).toEqual(["a starts", "a ends", "b starts", "b ends", "c starts", "c ends"]);
  });

  test("a run that fails does not hold up the next", async () => {
    const session = open();
    const failed = session.enqueue(never, () => Promise.reject(new Error("boom")));
    const next = session.enqueue(never, async () => "ran");
    await expect(failed).rejects.toThrow("boom");
    expect(await next).toBe("ran");
  });

  test("more runs than may wait are refused, with a time to come back", async () => {
    const session = open();
    const { run, end } = openRun(session);
    const waiting = [session.enqueue(never, async () => 1), session.enqueue(never, async () => 2)];
    const refused = await session.enqueue(never, async () => 3).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "queue_full", status: 429, retryAfter: 1 });
    end("over");
    expect(await Promise.all([run, ...waiting])).toEqual(["over", 1, 2]);
  });

  test("a client that goes away while it waits gives up its place at once, and never runs", async () => {
    const session = open();
    const { run, end } = openRun(session);
    const hangUp = new AbortController();
    let ran = false;
    const waiting = session.enqueue(hangUp.signal, async () => {
      ran = true;
    });
    expect(session.queued).toBe(1);
    hangUp.abort(new Error("hung up"));
    await expect(waiting).rejects.toThrow("hung up");
    expect(session.queued).toBe(0);
    end("over");
    await run;
    expect(ran).toBe(false);
  });

  test("a run whose client goes away keeps its place until it has ended", async () => {
    const session = open();
    const hangUp = new AbortController();
    const { run, end } = openRun(session, hangUp.signal);
    let nextRuns = false;
    const next = session.enqueue(never, async () => {
      nextRuns = true;
    });
    await Promise.resolve();
    hangUp.abort();
    await new Promise((resolve) => setImmediate(resolve));
    expect(nextRuns).toBe(false);
    end("over");
    expect(await run).toBe("over");
    await next;
    expect(nextRuns).toBe(true);
  });

  test("a stream keeps its place until it was read to its end, or was given up", async () => {
    const session = open();
    const letters = session.stream(never, async function* () {
      yield "a";
      yield "b";
    });
    expect(await letters.next()).toEqual({ value: "a", done: false });
    let nextRan = false;
    const next = session.enqueue(never, async () => {
      nextRan = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(nextRan).toBe(false);
    await letters.return(undefined);
    await next;
    expect(nextRan).toBe(true);
  });
});

describe("ending", () => {
  test("what waits in a session that ends is refused: 410", async () => {
    const session = open();
    const { run, end } = openRun(session);
    const waiting = session.enqueue(never, async () => "ran");
    session.change({ name: "ended", reason: "deallocated" });
    end("over");
    await run;
    const refused: unknown = await waiting.catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ServiceError);
    expect(refused).toMatchObject({ code: "session_ended", status: 410 });
  });

  test("an ended session stays ended, for its first reason", () => {
    const session = open();
    session.change({ name: "ended", reason: "idle for too long" });
    for (const name of Object.keys(SESSION_TRANSITIONS))
      expect(SESSION_TRANSITIONS.ended).not.toContain(name);
    expect(() => session.change({ name: "ended", reason: "deallocated" })).toThrow("from ended to ended");
    expect(() => session.assertOpen()).toThrow(`Session ${session.id} has ended: idle for too long`);
  });
});

describe("time", () => {
  test("a session expires when its idle time is over and nothing runs, waits or streams in it", async () => {
    const session = open({ idleTimeoutMs: 1000 });
    clockMs += 999;
    expect(session.expiry()).toBeUndefined();
    clockMs += 1;
    expect(session.expiry()).toBe("idle for 1 s");
    const { run, end } = openRun(session);
    clockMs += 600_000;
    expect(session.expiry()).toBeUndefined();
    end("over");
    await run;
    expect(session.expiry()).toBeUndefined();
    clockMs += 1000;
    expect(session.expiry()).toBe("idle for 1 s");
  });

  test("a session expires at the end of its lifetime, whatever it does, unless that is renewed", () => {
    const session = open({ lifetimeMs: 5000, idleTimeoutMs: 60_000 });
    using _ = session.use();
    clockMs += 4999;
    session.renew();
    expect(session.expiry()).toBeUndefined();
    clockMs += 1;
    expect(session.expiry()).toBe("its lifetime is over");
    session.renew(session.limitsWith({ lifetimeMs: 1000 }));
    expect(session.expiry()).toBeUndefined();
    session.renew(session.limitsWith({ lifetimeMs: null }));
    clockMs += 1e12;
    expect(session.expiry()).toBeUndefined();
  });

  test("a run that ends, and a renewal, start the idle time anew", () => {
    const session = open({ idleTimeoutMs: 1000 });
    const handle = session.use();
    clockMs += 500;
    handle[Symbol.dispose]();
    expect(session.expiresAt).toBe(clockMs + 1000);
    clockMs += 500;
    session.renew(session.limitsWith({ idleTimeoutMs: 3000 }));
    expect(session.expiresAt).toBe(clockMs + 3000);
  });
});

describe("an execution", () => {
  const ended = (session: Session, run: (execution: Execution) => Promise<void>, signal = never) => {
    let seen: Execution | undefined;
    return session
      .enqueue(signal, (execution) => {
        seen = execution;
        return run(execution);
      })
      .catch(() => undefined)
      .then(() => seen?.state);
  };

  test("ends in the outcome that its executor told, and in no second one", async () => {
    const state = await ended(open(), async (execution) => {
      execution.change({ name: "ended", outcome: "timed_out" });
      expect(() => execution.change({ name: "ended", outcome: "ok" })).toThrow("from ended to ended");
    });
    expect(state).toEqual({ name: "ended", outcome: "timed_out" });
  });

  test("that its executor did not end is lost, interrupted with its client, or overtaken by a restart", async () => {
    const fail = () => Promise.reject(new Error("broken"));
    expect(await ended(open(), fail)).toEqual({ name: "ended", outcome: "executor_lost" });
    const hangUp = new AbortController();
    const leave = async () => hangUp.abort();
    expect(await ended(open(), leave, hangUp.signal)).toEqual({ name: "ended", outcome: "interrupted" });
    const session = open();
    const state = await ended(session, async () => session.change({ name: "ended", reason: "deallocated" }));
    expect(state).toEqual({ name: "ended", outcome: "restarted" });
  });
});
