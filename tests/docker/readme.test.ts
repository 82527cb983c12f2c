import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { freePort } from "#manager/fleet/docker/free-port.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { PROJECT_DIR } from "#tests/support/fleets.ts";
import { readmeBlock } from "#tests/support/readme.ts";

const skipped = await reasonToSkipDocker();
const run = promisify(execFile);

describe.skipIf(skipped)(
  `the README with Docker${skipped === undefined ? "" : `: skipped, ${skipped}`}`,
  () => {
    test("the Compose walk-through prints what it says, and leaves nothing", async () => {
      const directory = await mkdtemp(join(tmpdir(), "readme-"));
      const port = await freePort();
      const commands = (await readmeBlock("bash", "docker compose -f demo.yml up"))
        .replaceAll("demo.yml", join(directory, "demo.yml"))
        // An image of an earlier state of the sources must not serve here.
        .replace("up -d", "up --build -d")
        .replace("--num-containers", `--manager-port ${port} --num-containers`)
        .replaceAll("localhost:5000", `127.0.0.1:${port}`);
      const { stdout } = await run("bash", ["-euo", "pipefail", "-c", commands], { cwd: PROJECT_DIR });
      const expected = await readmeBlock("", "Processed:");
      expect(stdout).toContain(`"text":${JSON.stringify(expected)}`);
      await rm(directory, { recursive: true });
    });
  },
);
