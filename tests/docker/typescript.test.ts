import { afterAll, beforeAll, describe } from "vitest";
import type { RunningManager } from "#manager/start-manager.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { startDockerFleet } from "#tests/support/fleets.ts";
import { describeTypeScript } from "#tests/support/typescript-acceptance.ts";

const skipped = await reasonToSkipDocker();

describe.skipIf(skipped)(
  `TypeScript in a container${skipped === undefined ? "" : `: skipped, ${skipped}`}`,
  () => {
    let fleet: RunningManager;

    beforeAll(async () => {
      fleet = await startDockerFleet({ types: [{ type: "typescript", count: 1 }] });
    });

    afterAll(() => fleet[Symbol.asyncDispose]());

    describeTypeScript(() => fleet);
  },
);
