import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { endLeftovers } from "#manager/fleet/process/end-leftovers.ts";
import { runs } from "#tests/support/fleet-command.ts";
import { ProcessFleet, ReadyExecutor } from "#tests/support/process-fleet.ts";

const signal = new AbortController().signal;

test("executors of a killed manager are taken up by the next one, with their variables", async () => {
  await using fleet = await ProcessFleet.make();
  const [left] = await fleet.leftByKilledOwner();
  if (!left) throw new Error("no executor was recorded");
  await using before = await ReadyExecutor.at(`unix:${left.socket}`, left.token);
  expect(await before.printed("x = 42")).toBe("");
  expect((await stat(fleet.stateDir)).mode & 0o777).toBe(0o700);
  expect((await stat(join(fleet.stateDir, "executor-000.json"))).mode & 0o777).toBe(0o600);

  const next = fleet.backend();
  expect(await next.backend.preview(signal)).toEqual([
    `keep executor 0: pid ${left.pid} runs with the same settings`,
  ]);
  await next.start();
  await using after = await next.ready();
  expect(after.bootId).toBe(before.bootId);
  expect(await after.printed("print(x)")).toBe("42\n");
  expect(await fleet.records()).toEqual([left]);

  await next.stop();
  expect(await runs(left.pid)).toBe(false);
  expect(await fleet.stateFiles()).toBeUndefined();
  expect(await fleet.temporaryFolders()).toEqual([]);
  expect(next.losses).toEqual([]);
});

test("an executor with other settings is replaced, one of a number that is not wanted ended", async () => {
  await using fleet = await ProcessFleet.make();
  const [kept, changed, surplus] = await fleet.leftByKilledOwner(["python", "other", "python"]);
  if (!kept || !changed || !surplus) throw new Error("not every executor was recorded");

  const next = fleet.backend({ types: ["python", "another"] });
  expect(await next.backend.preview(signal)).toEqual([
    `remove executor 1: it was started with other settings (pid ${changed.pid})`,
    `remove executor 2: no executor of that number is wanted (pid ${surplus.pid})`,
    `keep executor 0: pid ${kept.pid} runs with the same settings`,
    "start executor 1: no process of it fits",
  ]);
  expect(await fleet.records()).toEqual([kept, changed, surplus]);
  await next.start();
  expect(next.replacements).toEqual([
    `1: its process was replaced: it was started with other settings (pid ${changed.pid})`,
  ]);
  const [first, second, ...rest] = await fleet.records();
  expect([first, rest]).toEqual([kept, []]);
  expect(second).toMatchObject({ number: 1, type: "another" });
  expect(await Promise.all([kept, changed, surplus].map(({ pid }) => runs(pid)))).toEqual([
    true,
    false,
    false,
  ]);
});

test("without a next manager, executors end by themselves", async () => {
  await using fleet = await ProcessFleet.make();
  const [left] = await fleet.leftByKilledOwner(["python"], 300);
  if (!left) throw new Error("no executor was recorded");
  await expect.poll(() => runs(left.pid), { timeout: 20_000 }).toBe(false);
  // What they cannot take away themselves goes with the next manager, or here.
  expect(await fleet.stateFiles()).toEqual(["executor-000.json"]);
  expect(await fleet.temporaryFolders()).toEqual([]);
  expect(await endLeftovers(fleet.stateDir)).toEqual([]);
  expect(await fleet.stateFiles()).toBeUndefined();
});

test("a manager that stops leaves the executors that it keeps to the next one, and nothing of the others", async () => {
  await using fleet = await ProcessFleet.make();
  const first = fleet.backend({ types: ["python", "python"] });
  await first.start();
  const [ended, kept] = await fleet.records();
  if (!ended || !kept) throw new Error("not every executor was recorded");
  await using before = await first.ready(1);
  await before.printed("x = 42");
  await first.stop(1);
  expect(await runs(ended.pid)).toBe(false);
  expect(await fleet.records()).toEqual([kept]);

  const next = fleet.backend({ types: ["python", "python"] });
  await next.start();
  await using after = await next.ready(1);
  expect(await after.printed("print(x)")).toBe("42\n");
});

test("what a killed manager left is ended on request, and named", async () => {
  await using fleet = await ProcessFleet.make();
  const left = await fleet.leftByKilledOwner(["python", "python"]);
  expect(await endLeftovers(fleet.stateDir)).toEqual(["executor-000", "executor-001"]);
  expect(await Promise.all(left.map(({ pid }) => runs(pid)))).toEqual([false, false]);
  expect(await fleet.stateFiles()).toBeUndefined();
});
