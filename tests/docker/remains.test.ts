import { afterAll, beforeAll, describe } from "vitest";
import type { RunningManager } from "#manager/start-manager.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { startDockerFleet } from "#tests/support/fleets.ts";
import { leaveAndLook, testLeaks, type Sightings } from "#tests/support/leak-test.ts";
import { remains } from "#tests/support/remains.ts";

const skipped = await reasonToSkipDocker();
const because = skipped === undefined ? "" : `: skipped, ${skipped}`;

const kinds = remains({ scratch: "/tmp", ports: [4711, 4712] });

describe.skipIf(skipped).each(["container", "kernel"] as const)(
  `nothing of a tenant is visible to the next one after a reset of the kind %s${because}`,
  (reset) => {
    let fleet: RunningManager;
    let sightings: Sightings;

    beforeAll(async () => {
      const types = [{ type: "python", count: 1 }];
      fleet = await startDockerFleet({ types, resets: { python: reset } });
      sightings = await leaveAndLook(fleet.url, kinds);
    });

    afterAll(() => fleet[Symbol.asyncDispose]());

    testLeaks(
      kinds.map(({ kind }) => kind),
      () => sightings,
    );
  },
);
