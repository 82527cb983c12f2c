import { expect, test } from "vitest";
import { descendantsOf, runs } from "#tests/support/fleet-command.ts";
import { startProcessFleet } from "#tests/support/fleets.ts";
import { until } from "#tests/support/until.ts";

test("an executor that gives no answer is restarted, free and clean, and its session has ended", async () => {
  const probe = { intervalMs: 100, timeoutMs: 200, restartAfterMs: 2_000 };
  const others = new Set(await descendantsOf(process.pid));
  await using manager = await startProcessFleet({ types: ["python"] }, { probe });
  const signal = AbortSignal.timeout(10_000);
  const { id } = await manager.sessions.allocate({}, { waitMs: 0, signal });
  const { bootId } = manager.fleet.get(0);
  const started = (await descendantsOf(process.pid)).filter((pid) => !others.has(pid));
  const [executor] = started;
  if (executor === undefined) throw new Error("the executor has no process");

  process.kill(executor, "SIGSTOP");
  const reason = await until("the manager restarts it", () => {
    const { state } = manager.fleet.get(0);
    return state.name === "unhealthy" && state.reason.includes("restarted") ? state.reason : undefined;
  });
  expect(reason).toMatch(/^no answer to GET \/health: .*; silent for 2 s: the manager restarted it$/);
  await until("it is free", () => manager.fleet.get(0).state.name === "free" || undefined, 30_000);
  expect(manager.fleet.get(0).bootId).not.toBe(bootId);
  const reply = await fetch(`${manager.url}/session/${id}/execute`, {
    method: "POST",
    headers: { "content-type": "text/plain" },
    body: "1",
  });
  expect(reply.status).toBe(410);
  await until("nothing is left of the old process", async () => {
    const alive = await Promise.all(started.map(runs));
    return alive.includes(true) ? undefined : true;
  });
});
