import { afterAll, beforeAll, describe } from "vitest";
import type { RunningManager } from "#manager/start-manager.ts";
import { describeAcceptance } from "#tests/support/acceptance.ts";
import { startProcessFleet } from "#tests/support/fleets.ts";

let fleet: RunningManager;

beforeAll(async () => {
  fleet = await startProcessFleet();
});

afterAll(() => fleet[Symbol.asyncDispose]());

describe("a fleet of processes", () => {
  describeAcceptance(() => fleet);
});
