import { describe, expect, test } from "vitest";
import { formatLook } from "#cli/format-look.ts";
import { LiveText } from "#cli/live-text.ts";
import { allWell, SESSION } from "#tests/support/manager-replies.ts";

const at = "2026-01-01T00:00:00Z";

describe("a look", () => {
  test("shows executors, sessions and named singletons with their states, and what is down", () => {
    const { status, connection, list } = allWell();
    expect(formatLook({ at, down: ["executor 1 is unhealthy"], status, connection, ...list })).toBe(
      [
        "2 executors (docker): 1 free, 1 allocated",
        "namespace default; engine: connected to /d.sock, version 28.0.0",
        "",
        "down: executor 1 is unhealthy",
        "",
        "executor  type    state      session",
        "0         python  allocated  ses_1",
        "1         python  free       -",
        "",
        "session  name    state  executor  running  queued  detached  ends in",
        "ses_1    mw@lab  open   0         1        2       yes       60 s",
        "",
        "singleton  state  session",
        "mw@lab     open   ses_1",
      ].join("\n"),
    );
  });

  test("without a manager is what is down", () => {
    expect(formatLook({ at, down: ["manager: no fleet runs"] })).toBe("down: manager: no fleet runs");
  });

  test.each([
    [null, null, "never"],
    ["2026-01-01T00:30:00Z", null, "30 min"],
    [null, "2026-01-01T12:00:00Z", "12 h"],
    [null, "2026-02-01T00:00:00Z", "31 d"],
    ["2025-12-31T23:59:59Z", null, "0 s"],
  ])("says of a session that expires at %s and ends at %s that it ends in %s", (expires, ends, text) => {
    const sessions = [{ ...SESSION, expires_at: expires, ends_at: ends }];
    expect(formatLook({ at, down: [], sessions })).toMatch(new RegExp(`yes +${text}$`));
  });

  test("lets no control character of user code through to the terminal", () => {
    const { status } = allWell();
    const [first] = status.executors;
    const executors = first ? [{ ...first, reason: "gone\x1b[2J\nfor good" }] : [];
    const text = formatLook({ at, down: ["bell\x07"], status: { ...status, executors } });
    expect(text).toContain("gone [2J for good");
    expect(text).toContain("\ndown: bell \n");
  });
});

describe("on a terminal", () => {
  test("a text takes the place of the one before", () => {
    const live = new LiveText();
    const size = { columns: 80, rows: 24 };
    expect(live.draw("a\nb", size)).toBe("a\nb\n");
    expect(live.draw("c", size)).toBe("\x1b[2A\x1b[Jc\n");
    expect(live.draw("d", size)).toBe("\x1b[1A\x1b[Jd\n");
  });

  test("no more is drawn than it shows at once", () => {
    const live = new LiveText();
    expect(live.draw("1234567\n2\n3\n4\n5", { columns: 4, rows: 4 })).toBe("1234\n2\n3 mo\n");
  });
});
