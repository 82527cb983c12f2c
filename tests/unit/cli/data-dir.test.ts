import { mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { DataDir } from "#cli/data-dir.ts";
import { fleetSpecSchema } from "#compose/fleet-spec.ts";

async function madeDataDir(): Promise<DataDir> {
  const path = await mkdtemp(join(tmpdir(), "data-dir-"));
  onTestFinished(() => rm(path, { recursive: true }));
  return new DataDir(path);
}

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

  test("keeps no more of a fleet that was killed than whose executors it left", async () => {
    await using cleanup = new AsyncDisposableStack();
    const dataDir = await madeDataDir();
    await dataDir.writeState({ pid: process.pid, backend: "process", url: "http://127.0.0.1:5000" });
    cleanup.use(await dataDir.hold());
    expect(await dataDir.readState()).toEqual({ backend: "process" });
    await dataDir.leave(undefined);
    expect(await dataDir.readState()).toBeUndefined();
  });

  test("begins new logs in the files that executors write to already", async () => {
    const dataDir = await madeDataDir();
    await dataDir.rotateLogs();
    const file = join(dataDir.logDir, "executor-000.log");
    await using writer = await open(file, "a");
    await writer.write("of the last fleet\n");
    await dataDir.rotateLogs();
    await writer.write("of this one\n");
    expect(await readFile(file, "utf8")).toBe("of this one\n");
    expect(await readFile(join(`${dataDir.logDir}.previous`, "executor-000.log"), "utf8")).toBe(
      "of the last fleet\n",
    );
  });

  test("is not held by looking whether it is", async () => {
    const dataDir = await madeDataDir();
    expect(await dataDir.isHeld()).toBe(false);
    expect(await readdir(dataDir.path)).toEqual([]);
    {
      using _lock = await dataDir.hold();
      expect(await dataDir.isHeld()).toBe(true);
    }
    expect(await dataDir.isHeld()).toBe(false);
  });

  test.each(["/srv/My Fleet!", "/a/default", "/b/default", "/ü"])("%s gives a name of its own", (path) => {
    const others = ["/other/My Fleet!", "/c/default"].map((other) => new DataDir(other).fleetName);
    const { fleetName } = new DataDir(path);
    expect(fleetSpecSchema.shape.name.parse(fleetName)).toBe(fleetName);
    expect(others).not.toContain(fleetName);
  });
});
