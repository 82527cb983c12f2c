import { expect, test } from "vitest";
import { runChaos } from "#tests/support/chaos/run-chaos.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";

/** Another one each time; a failure names it, and CHAOS_SEED brings it back. */
const SEED = Number(process.env["CHAOS_SEED"] ?? Date.now() % 1_000_000);
const OPERATIONS = 300;

const skipped = await reasonToSkipDocker();

test.skipIf(skipped)(
  `sessions are there, or have truly ended, whatever is killed${skipped ? `: skipped, ${skipped}` : ""}`,
  async () => {
    const { operations, journal } = await runChaos({
      seed: SEED,
      operations: OPERATIONS,
      clients: 5,
      executors: 4,
      reset: "container",
    });
    expect(operations).toBeGreaterThanOrEqual(OPERATIONS);
    expect(journal.total("acts")).toBeGreaterThan(0);
  },
  300_000,
);
