import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe } from "vitest";
import { makeDenoKernel } from "#cli/deno-kernel.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { PROJECT_DIR, startProcessFleet } from "#tests/support/fleets.ts";
import { describeTypeScript } from "#tests/support/typescript-acceptance.ts";

describe("TypeScript as a process", () => {
  let jupyterDir: string;
  let fleet: RunningManager;

  beforeAll(async () => {
    jupyterDir = await mkdtemp(join(tmpdir(), "jupyter-"));
    const typescript = await makeDenoKernel({ projectDir: PROJECT_DIR, jupyterDir, path: undefined });
    fleet = await startProcessFleet({ types: ["typescript"], envOfType: { typescript } });
  });

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await rm(jupyterDir, { recursive: true });
  });

  describeTypeScript(() => fleet);
});
