import { mkdtemp, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DataDir } from "#cli/data-dir.ts";
import { fleetSpecSchema } from "#compose/fleet-spec.ts";

describe("the data folder", () => {
  const home = join(homedir(), ".local", "state", "executor-fleet", "default");

  test.each([
    ["/a", { FLEET_DATA_DIR: "/b" }, "/a"],
    [undefined, { FLEET_DATA_DIR: "/b", XDG_STATE_HOME: "/c" }, "/b"],
    [undefined, { FLEET_DATA_DIR: "", XDG_STATE_HOME: "/c" }, "/c/executor-fleet/default"],
    [undefined, { XDG_STATE_HOME: "not/absolute" }, home],
    [undefined, {}, home],
  ])("of the flag %j and %j is %s", (flag, env, path) => {
    expect(DataDir.choose(flag, env).path).toBe(path);
  });

  test("tells nothing of a fleet that was killed once another one holds it", async () => {
    await using cleanup = new AsyncDisposableStack();
    const path = await mkdtemp(join(tmpdir(), "data-dir-"));
    cleanup.defer(() => rm(path, { recursive: true }));
    const dataDir = new DataDir(path);
    await dataDir.writeState({ pid: process.pid, backend: "process" });
    cleanup.use(await dataDir.hold());
    expect(await dataDir.readState()).toBeUndefined();
  });

  test.each(["/srv/My Fleet!", "/a/default", "/b/default", "/ü"])("%s gives a name of its own", (path) => {
    const others = ["/other/My Fleet!", "/c/default"].map((other) => new DataDir(other).fleetName);
    const { fleetName } = new DataDir(path);
    expect(fleetSpecSchema.shape.name.parse(fleetName)).toBe(fleetName);
    expect(others).not.toContain(fleetName);
  });
});
