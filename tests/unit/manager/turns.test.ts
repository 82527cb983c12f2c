import { expect, test } from "vitest";
import { Turns } from "#manager/fleet/docker/turns.ts";

test("what is asked for the same executors is done in order, also after a failure; others do not wait", async () => {
  const turns = new Turns();
  const gate = Promise.withResolvers<void>();
  const done: string[] = [];
  const first = turns.take([0], async () => {
    await gate.promise;
    done.push("first");
    throw new Error("it failed");
  });
  const all = turns.take([0, 1], async () => void done.push("all"));
  const last = turns.take([1], async () => void done.push("last"));
  await turns.take([2], async () => void done.push("other"));
  expect(done).toEqual(["other"]);
  gate.resolve();
  await expect(first).rejects.toThrow("it failed");
  await Promise.all([all, last]);
  expect(done).toEqual(["other", "first", "all", "last"]);
});
