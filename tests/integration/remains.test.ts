import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import { freePort } from "#manager/fleet/docker/free-port.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { startProcessFleet } from "#tests/support/fleets.ts";
import { leaveAndLook, testLeaks, type Sightings } from "#tests/support/leak-test.ts";
import { remains } from "#tests/support/remains.ts";

/** What can be cleared where executors are processes; the rest is never left behind here, because it would stay. */
const cleared = (scratch: string, ports: readonly [number, number]) =>
  remains({ scratch, ports }).filter(({ staysInProcesses }) => !staysInProcesses);

describe("nothing that belongs to its kernel is visible to the next tenant of an executor that is a process", () => {
  const kinds = cleared("", [0, 0]).map(({ kind }) => kind);
  const cleanup = new AsyncDisposableStack();
  let fleet: RunningManager;
  let sightings: Sightings;

  beforeAll(async () => {
    const scratch = await mkdtemp(join(tmpdir(), "remains-"));
    cleanup.defer(() => rm(scratch, { recursive: true }));
    fleet = cleanup.use(await startProcessFleet({ types: ["python"] }));
    sightings = await leaveAndLook(fleet.url, cleared(scratch, [await freePort(), await freePort()]));
  });

  afterAll(() => cleanup.disposeAsync());

  testLeaks(kinds, () => sightings);
});
