import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ServiceError } from "#contract/errors.ts";
import { lookUp, type AbsentName, type LookUpSettings } from "#manager/sessions/look-up.ts";

const HOUR_MS = 3_600_000;
const NAME = { name: "mw", namespace: "lab" };
const NOTHING: AbsentName = { opening: false, lastEnd: undefined, elsewhere: [] };
const never = new AbortController().signal;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Looks for what is never there; tells the tries and the fake milliseconds that it took, and the error. */
async function inVain(settings: LookUpSettings, known: AbsentName = NOTHING) {
  let tries = 0;
  const find = () => void (tries += 1);
  const begun = performance.now();
  let tookMs = -1;
  const search = lookUp(NAME, { find, explain: () => known, settings, signal: never })
    .catch((error: unknown) => error)
    .finally(() => (tookMs = performance.now() - begun));
  await vi.advanceTimersByTimeAsync(1000 * HOUR_MS);
  return { tries, tookMs, error: await search };
}

describe("all waiting is capped, whatever tries and back-off say", () => {
  test.each([
    ["a back-off of hours", 1000, HOUR_MS, 500],
    ["a back-off longer than timers can be", 1000, 2 ** 40, 500],
    ["no back-off", 1000, 0, 500],
    ["a short one", 1000, 3, 500],
    ["no time", 1000, HOUR_MS, 0],
  ])("%s", async (_, tries, backOffMs, totalMs) => {
    const { tookMs, tries: made, error } = await inVain({ tries, backOffMs, totalMs });
    expect(tookMs).toBeLessThanOrEqual(totalMs + 1);
    expect(made).toBeLessThanOrEqual(tries);
    expect(error).toMatchObject({ code: "unknown_session", status: 404 });
  });

  test("the tries are those that were asked for when there is time", async () => {
    const { tries } = await inVain({ tries: 12, backOffMs: 1, totalMs: HOUR_MS });
    expect(tries).toBe(12);
  });

  test("the default of 12 tries fits into its half second", async () => {
    const { tries, tookMs } = await inVain({ tries: 12, backOffMs: 3, totalMs: 500 });
    expect([tries, tookMs <= 500]).toEqual([12, true]);
  });
});

describe("a search", () => {
  const settings = { tries: 12, backOffMs: 10, totalMs: HOUR_MS };

  test("finds what is created while it goes on", async () => {
    let there: string | undefined;
    const search = lookUp(NAME, { find: () => there, explain: () => NOTHING, settings, signal: never });
    await vi.advanceTimersByTimeAsync(30);
    there = "found";
    await vi.advanceTimersByTimeAsync(HOUR_MS);
    expect(await search).toBe("found");
  });

  test("ends at once, and waits for nothing more, when its client leaves", async () => {
    const client = new AbortController();
    let tries = 0;
    const find = () => void (tries += 1);
    const search = lookUp(NAME, { find, explain: () => NOTHING, settings, signal: client.signal });
    const refused = search.catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(5);
    client.abort(new Error("hung up"));
    expect(await refused).toMatchObject({ message: "hung up" });
    expect([tries, vi.getTimerCount()]).toEqual([1, 0]);
  });

  test("is not repeated for anything but absence", async () => {
    let tries = 0;
    const find = () => {
      tries += 1;
      throw new ServiceError("storage_failed", "The disk is full");
    };
    const search = lookUp(NAME, { find, explain: () => NOTHING, settings, signal: never });
    await expect(search).rejects.toMatchObject({ code: "storage_failed" });
    expect(tries).toBe(1);
  });
});

describe("the error names name, namespace, tries and the cause", () => {
  const settings = { tries: 3, backOffMs: 10, totalMs: 1000 };
  const end = { at: Date.UTC(2026, 0, 2, 3, 4, 5), reason: "idle for 60 s" };

  test.each<[string, Partial<AbsentName>, string]>([
    ["never created", {}, "Likely cause: it was never created there."],
    ["ended", { lastEnd: end }, "Likely cause: it ended at 2026-01-02T03:04:05.000Z: idle for 60 s."],
    [
      "elsewhere",
      { elsewhere: ["a", "b"] },
      "Likely cause: it was never created there. Another namespace has one: mw@a, mw@b.",
    ],
    ["being opened", { opening: true }, "It is being opened and waits for a free executor."],
  ])("%s", async (_, known, cause) => {
    const { error } = await inVain(settings, { ...NOTHING, ...known });
    expect(error).toBeInstanceOf(ServiceError);
    expect(String(error)).toContain(
      `There is no session "mw" in namespace "lab" (3 tries in 25 ms). ${cause}`,
    );
  });
});
