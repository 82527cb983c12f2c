import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { executorNumberSchema } from "#contract/ids.ts";
import { endLeftovers } from "#manager/fleet/process/end-leftovers.ts";
import { endProcess, killProcess } from "#manager/fleet/process/end-process.ts";
import { ExecutorRecords } from "#manager/fleet/process/executor-records.ts";
import { identify } from "#manager/fleet/process/process-identity.ts";
import { runs } from "#tests/support/fleet-command.ts";
import { ProcessFleet, type OwnedBackend } from "#tests/support/process-fleet.ts";
import { until } from "#tests/support/until.ts";

const ZERO = executorNumberSchema.parse(0);
const signal = new AbortController().signal;
/** Stands in for an executor where only its process counts. */
const sleeping = { command: ["/bin/sleep", "1000"], env: {} };

/** The one executor of the fleet, as recorded. */
async function recordOf(fleet: ProcessFleet) {
  const [record] = await fleet.records();
  if (!record) throw new Error("no executor is recorded");
  return record;
}

/** Starts a process that leads a group of its own, as executors do. It has ended when it is collected. */
async function leader(...[program, ...args]: [string, ...string[]]) {
  const child = spawn(program, args, { detached: true, stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "exit");
  const identity = await identify(child.pid ?? 0);
  if (!identity) throw new Error(`${program} did not start`);
  return { child, ended, identity };
}

describe.each([
  ["started by this manager", "the process was ended by SIGKILL", async (owned: OwnedBackend) => owned],
  [
    "taken up from another manager",
    "the process has ended",
    async (owned: OwnedBackend, fleet: ProcessFleet) => {
      await owned.stop(0);
      const next = fleet.backend(sleeping);
      await next.start();
      return next;
    },
  ],
])("an executor that was %s", (_, reason, handOver) => {
  test("is started again in the same place when something kills it, which is told", async () => {
    await using fleet = await ProcessFleet.make();
    const first = fleet.backend(sleeping);
    await first.start();
    const owned = await handOver(first, fleet);
    const { pid: killed, ...place } = await recordOf(fleet);
    expect(await owned.backend.explainLoss(ZERO, signal)).toBeUndefined();
    process.kill(killed, "SIGKILL");
    expect(await owned.backend.explainLoss(ZERO, signal)).toEqual({ reason });
    await expect.poll(() => owned.losses).toEqual([`0: ${reason}`]);
    const next = await until("another process is recorded", async () => {
      const record = await recordOf(fleet);
      return record.pid === killed ? undefined : record;
    });
    expect(await runs(next.pid)).toBe(true);
    expect(next).toMatchObject({ socket: place.socket, token: place.token });
  });

  test("is another process after a restart, which is no loss", async () => {
    await using fleet = await ProcessFleet.make();
    const first = fleet.backend(sleeping);
    await first.start();
    const owned = await handOver(first, fleet);
    const { pid: killed } = await recordOf(fleet);
    await owned.backend.restart(ZERO, signal);
    const { pid } = await recordOf(fleet);
    expect(pid).not.toBe(killed);
    expect([await runs(killed), await runs(pid)]).toEqual([false, true]);
    expect(owned.losses).toEqual([]);
  });
});

test("a restart that cannot start the executor says why", async () => {
  await using fleet = await ProcessFleet.make();
  const program = join(fleet.folder, "program");
  await writeFile(program, "#!/bin/sh\nrm $0\nexec sleep 1000\n", { mode: 0o700 });
  const owned = fleet.backend({ command: [program], env: { PATH: "/usr/bin:/bin" } });
  await owned.start();
  await until("the program is gone", () =>
    access(program).then(
      () => undefined,
      () => true,
    ),
  );
  await expect(owned.backend.restart(ZERO, signal)).rejects.toThrow(/ENOENT/);
  // It is tried again, and told again, until the fleet stops.
  expect([...new Set(owned.losses)]).toEqual([expect.stringMatching(/^0: could not be started: .*ENOENT/)]);
});

test("an executor that cannot be started is waited for, and the reason told", async () => {
  await using fleet = await ProcessFleet.make();
  const owned = fleet.backend({ command: [join(fleet.folder, "nothing")] });
  const giveUp = new AbortController();
  const starting = owned.start(giveUp.signal);
  await expect
    .poll(() => owned.waits)
    .toContainEqual(expect.stringMatching(/^0: could not be started: .*ENOENT/));
  giveUp.abort(new Error("enough"));
  await expect(starting).rejects.toThrow("enough");
  await owned.stop();
  expect([owned.endpoints.size, owned.losses, await fleet.stateFiles()]).toEqual([0, [], undefined]);
});

test("a fleet that is stopped while it starts leaves nothing behind", async () => {
  await using fleet = await ProcessFleet.make();
  const owned = fleet.backend(sleeping);
  const [started] = await Promise.allSettled([owned.start(), owned.stop()]);
  expect(started).toMatchObject({ status: "rejected", reason: new Error("the fleet stops") });
  expect(owned.endpoints.size).toBe(0);
  expect(await fleet.records()).toEqual([]);
});

test("a process that has the id of a recorded one by now is never signalled", async () => {
  await using fleet = await ProcessFleet.make();
  const stranger = await leader("/bin/sleep", "1000");
  const records = new ExecutorRecords(fleet.stateDir);
  const record = {
    number: ZERO,
    type: "python",
    pid: stranger.identity.pid,
    startTime: "of another process",
    socket: join(fleet.stateDir, "executor-000-0.sock"),
    token: "secret",
    fingerprint: "any",
  };
  await records.make();
  await records.write(record);
  const owned = fleet.backend(sleeping);
  expect(await owned.backend.preview(signal)).toContain(`remove executor 0: pid ${record.pid} has ended`);
  await owned.start();
  expect((await recordOf(fleet)).pid).not.toBe(record.pid);
  await owned.stop();
  await records.make();
  await records.write(record);
  expect(await endLeftovers(fleet.stateDir)).toEqual([]);
  expect(await runs(record.pid)).toBe(true);
  stranger.child.kill();
  await stranger.ended;
  expect(stranger.child.signalCode).toBe("SIGTERM");
});

test("what a manager left that was killed in the middle of a start goes with the next start", async () => {
  await using fleet = await ProcessFleet.make();
  await mkdir(fleet.stateDir);
  for (const name of ["executor-000.json", "executor-000.json.123", "executor-007-abc.sock", "of-another"])
    await writeFile(join(fleet.stateDir, name), "{");
  const owned = fleet.backend(sleeping);
  await owned.start();
  expect((await recordOf(fleet)).number).toBe(0);
  expect(await fleet.stateFiles()).toEqual(["executor-000.json", "of-another"]);
});

test("a folder whose path is too long for a socket has them elsewhere, and nothing stays there", async () => {
  await using fleet = await ProcessFleet.make();
  const stateDir = join(fleet.folder, "a-folder-with-a-long-name".repeat(4));
  const owned = fleet.backend({ ...sleeping, stateDir });
  await owned.start();
  const [record] = await new ExecutorRecords(stateDir).list();
  const socketDir = dirname(record?.socket ?? "");
  expect(dirname(socketDir)).toBe(tmpdir());
  expect(await readdir(socketDir)).toEqual([]);
  await owned.stop();
  await expect(access(socketDir)).rejects.toThrow(/ENOENT/);
  await expect(access(stateDir)).rejects.toThrow(/ENOENT/);
});

test("a process that does not end when it is asked to is killed", async () => {
  const stubborn = await leader("/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done");
  await once(stubborn.child.stdout, "data");
  await endProcess(stubborn.identity, 100);
  await stubborn.ended;
  expect(stubborn.child.signalCode).toBe("SIGKILL");
});

test("a kill leaves nothing of the process's group", async () => {
  const killed = await leader("/bin/sh", "-c", "sleep 1000 & echo $!; wait");
  const [line] = await once(killed.child.stdout, "data");
  await killProcess(killed.identity);
  await expect.poll(() => runs(Number(String(line)))).toBe(false);
  await killed.ended;
});
