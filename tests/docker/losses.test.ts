import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FIRST, ShellFleet } from "#tests/support/docker-backends.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { makeShellImage, removeShellImage } from "#tests/support/shell-image.ts";

const run = promisify(execFile);
const skipped = await reasonToSkipDocker();
const signal = () => AbortSignal.timeout(30_000);
const DEADLINE = { timeout: 20_000 };

const EAT = "x=aaaaaaaaaa; while :; do x=$x$x; done";
/** What its container does once a file says so. What lies in /tmp goes with the run. */
const ON_REQUEST = `
while :; do
  [ -e /tmp/eat ] && { ${EAT}; }
  [ -e /tmp/let-a-child-eat ] && { (${EAT}); exit 3; }
  [ -e /tmp/exit ] && exit 4
  sleep 0.02
done`;

describe.skipIf(skipped)(`why an executor was lost${skipped ? `: skipped, ${skipped}` : ""}`, () => {
  let image: string;

  beforeAll(async () => {
    image = await makeShellImage();
  });

  afterAll(async () => {
    await removeShellImage();
  });

  async function fleetWith(wish: string): Promise<{ fleet: ShellFleet; told: unknown }> {
    const fleet = await ShellFleet.make(image, { script: ON_REQUEST });
    const backend = await fleet.start();
    const [id = ""] = await fleet.ids();
    if (wish === "kill" || wish === "rm -f") await run("docker", [...wish.split(" "), id]);
    else await run("docker", ["exec", id, "/bin/sh", "-c", `: > /tmp/${wish}`]);
    return { fleet, told: await backend.explainLoss(FIRST, signal()) };
  }

  test.each([
    ["eat", { reason: "its container was killed by the memory limit (32 MiB)", outOfMemory: true }],
    ["let-a-child-eat", { reason: "its container ended with exit code 3" }],
    ["exit", { reason: "its container ended with exit code 4" }],
    ["kill", { reason: "its container ended with exit code 137" }],
    ["rm -f", { reason: "its container ended with exit code 137" }],
  ])("%s", async (wish, loss) => {
    const { fleet, told } = await fleetWith(wish);
    await using _ = fleet;
    expect(told).toEqual(loss);
    const line = `lost 0: ${loss.reason}${"outOfMemory" in loss ? " (out of memory)" : ""}`;
    await expect.poll(() => fleet.losses, DEADLINE).toEqual([line]);
    await expect.poll(async () => (await fleet.containers())[0]?.running, DEADLINE).toBe(true);
    expect(fleet.losses).toEqual([line]);
  });

  test("nothing is told of a container that runs on", async () => {
    await using fleet = await ShellFleet.make(image);
    const backend = await fleet.start();
    expect(await backend.explainLoss(FIRST, signal())).toBeUndefined();
    expect(fleet.losses).toEqual([]);
  });
});
