// oxlint-disable no-console -- libraries print with it, and this is about them
import { Writable } from "node:stream";
import { pino } from "pino";
import { expect, test } from "vitest";
import { sendConsoleTo } from "#manager/console-to-log.ts";

test("what a library prints goes to the log with its level, and only until the end", () => {
  const lines: unknown[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  const { console: original } = globalThis;
  {
    using _console = sendConsoleTo(pino(stream));
    console.info("%s aborted", "a request");
    console.error(new Error("no luck"));
  }
  expect(lines).toMatchObject([
    { level: 30, msg: "a request aborted" },
    { level: 50, msg: expect.stringContaining("Error: no luck\n    at ") },
  ]);
  expect(globalThis.console).toBe(original);
});
