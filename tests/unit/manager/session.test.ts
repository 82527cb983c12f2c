import { describe, expect, test } from "vitest";
import { ServiceError } from "#contract/errors.ts";
import { executorNumberSchema } from "#contract/ids.ts";
import { Session } from "#manager/sessions/session.ts";
import { until } from "#tests/support/until.ts";

const open = (options: { idleTimeoutMs?: number; maxQueued?: number } = {}) =>
  new Session(executorNumberSchema.parse(0), { idleTimeoutMs: 1000, maxQueued: 2, ...options });

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
    session.end("deallocated");
    end("over");
    await run;
    const refused: unknown = await waiting.catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ServiceError);
    expect(refused).toMatchObject({ code: "session_ended", status: 410 });
  });

  test("the first reason stays", () => {
    const session = open();
    session.end("idle for too long");
    session.end("deallocated");
    expect(session.endReason).toBe("idle for too long");
    expect(() => session.assertOpen()).toThrow(`Session ${session.id} has ended: idle for too long`);
  });
});

describe("idleness", () => {
  test("a session is idle when its time is over and nothing runs, waits or streams in it", async () => {
    const session = open({ idleTimeoutMs: 0 });
    const later = Date.now() + 1;
    expect(session.isIdle(later)).toBe(true);
    const { run, end } = openRun(session);
    expect(session.isIdle(later)).toBe(false);
    end("over");
    await run;
    expect(session.isIdle(later)).toBe(true);
    expect(session.isIdle(session.expiresAt - 1)).toBe(false);
  });

  test("a run that ends starts the time anew", async () => {
    const session = open({ idleTimeoutMs: 1000 });
    const before = session.expiresAt;
    const handle = session.use();
    const opened = Date.now();
    await until("the clock has moved on", () => Date.now() > opened || undefined);
    handle[Symbol.dispose]();
    expect(session.expiresAt).toBeGreaterThan(before);
  });
});
