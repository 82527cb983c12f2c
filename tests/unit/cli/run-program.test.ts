import { expect, test } from "vitest";
import { runProgram } from "#cli/run-program.ts";

test(
  "a program that ignores the request to end is ended, whatever it has started",
  { timeout: 20_000 },
  async () => {
    await using cleanup = new AsyncDisposableStack();
    const stop = new AbortController();
    const pids: number[] = [];
    const started = 'trap "" TERM; sleep 1000 & echo $$ $!; wait';
    const running = runProgram(["sh", "-c", started], {
      signal: stop.signal,
      onLine: (line) => {
        pids.push(...line.split(" ").map(Number));
        stop.abort(new Error("enough"));
      },
    });
    cleanup.defer(() => void process.kill(pids[1] ?? 0, "SIGKILL"));
    await expect(running).rejects.toThrow("enough");
    expect(() => process.kill(pids[0] ?? 0, 0)).toThrow("ESRCH");
  },
);

test("a program that fails tells why", async () => {
  const signal = AbortSignal.timeout(10_000);
  const script = "echo error: no luck; echo bye; exit 3";
  expect(await runProgram(["sh", "-c", script], { signal })).toEqual({ ok: false, reason: "error: no luck" });
  expect(await runProgram(["no-such-program"], { signal })).toMatchObject({
    ok: false,
    reason: expect.stringContaining("ENOENT"),
  });
});
