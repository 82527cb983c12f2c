import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { errorText } from "#contract/errors.ts";
import { executorNumberSchema } from "#contract/ids.ts";
import { FIRST, NOBODY_KEPT, ShellFleet } from "#tests/support/docker-backends.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { makeShellImage, removeShellImage } from "#tests/support/shell-image.ts";

const run = promisify(execFile);
const skipped = await reasonToSkipDocker();
const signal = () => AbortSignal.timeout(30_000);
const DEADLINE = { timeout: 20_000 };

describe.skipIf(skipped)(`containers of the docker backend${skipped ? `: skipped, ${skipped}` : ""}`, () => {
  let image: string;

  beforeAll(async () => {
    image = await makeShellImage();
  });

  afterAll(async () => {
    await removeShellImage();
  });

  test("a plan can be printed without anything being made", async () => {
    await using fleet = await ShellFleet.make(image, { dataDir: "not/there" });
    expect(await fleet.backend(2).preview(signal())).toEqual([
      `create fleet-${fleet.name}-000: executor 0 has no container`,
      `create fleet-${fleet.name}-001: executor 1 has no container`,
    ]);
    expect(await fleet.ids()).toEqual([]);
    expect(existsSync(fleet.dataDir)).toBe(false);
  });

  describe("an image that is not there", () => {
    const types = [{ type: "python", count: 1 }];
    let projectDir: string;

    beforeAll(async () => {
      projectDir = await mkdtemp(join(tmpdir(), "fleet-project-"));
      for (const file of ["package.json", "package-lock.json", "rolldown.config.ts"])
        await writeFile(join(projectDir, file), "");
      for (const folder of ["contract", "compose", "executor", "manager", "client", "cli"])
        await mkdir(join(projectDir, folder));
      await writeFile(join(projectDir, "Dockerfile.executor"), `FROM ${image} AS executor\nRUN exit 3\n`);
    });

    afterAll(async () => {
      await rm(projectDir, { recursive: true });
    });

    test("is part of the plan", async () => {
      await using fleet = await ShellFleet.make(image);
      expect(await fleet.backend(1, { types }, { projectDir }).preview(signal())).toEqual([
        expect.stringMatching(
          /^build image executor-fleet-python:[0-9a-f]{12}: no image of these sources is there$/,
        ),
        `create fleet-${fleet.name}-000: executor 0 has no container`,
      ]);
    });

    test("is waited for, and fails the start when it cannot be built", async () => {
      await using fleet = await ShellFleet.make(image);
      const backend = fleet.backend(1, { types }, { projectDir });
      await expect(backend.start(fleet.events, signal())).rejects.toThrow(/^image .* cannot be built$/);
      expect(fleet.told.at(-1)).toBe("waiting 0: its image is being built");
    });
  });

  test("a type that no image serves is none for a fleet", async () => {
    await using fleet = await ShellFleet.make(image);
    const types = [{ type: "cobol", count: 1 }];
    await expect(fleet.backend(1, { types }).plan()).rejects.toThrow("there is no image for type cobol");
  });

  test("executors are reset with their container unless the spec says otherwise", async () => {
    await using fleet = await ShellFleet.make(image);
    expect(await fleet.backend().plan()).toEqual([{ number: 0, type: "shell", reset: "container" }]);
    expect(await fleet.backend(1, { resets: { shell: "kernel" } }).plan()).toMatchObject([
      { reset: "kernel" },
    ]);
  });

  test("the next manager takes up the executors that were kept, with their folders, and removes what is too much", async () => {
    await using fleet = await ShellFleet.make(image);
    const first = await fleet.start(3);
    const [, kept, surplus] = await fleet.ids();
    await first.stop(new Set([1, 2].map((number) => executorNumberSchema.parse(number))));
    expect(await fleet.ids()).toEqual([kept, surplus]);
    expect(existsSync(`${fleet.dataDir}/run/001`)).toBe(true);
    expect(existsSync(`${fleet.dataDir}/run/000`)).toBe(false);
    const second = fleet.backend(2);
    expect(await second.preview(signal())).toEqual([
      `remove fleet-${fleet.name}-002: no executor of that number is wanted`,
      `create fleet-${fleet.name}-000: executor 0 has no container`,
      `keep fleet-${fleet.name}-001: it runs and fits`,
    ]);
    await second.start(fleet.events, signal());
    const ids = await fleet.ids();
    expect(ids).toHaveLength(2);
    expect(ids[1]).toBe(kept);
    expect(fleet.losses).toEqual([]);
    await second.stop(NOBODY_KEPT);
    expect(await fleet.ids()).toEqual([]);
    expect(existsSync(`${fleet.dataDir}/run`)).toBe(false);
  });

  test("a container behind a port is taken up, too: the port stays", async () => {
    await using fleet = await ShellFleet.make(image, { dataDir: "deep".repeat(30) });
    const first = await fleet.start();
    const ids = await fleet.ids();
    await first.stop(new Set([FIRST]));
    const places: string[] = [];
    const second = fleet.backend();
    await second.start({ ...fleet.events, placed: (_, { url }) => places.push(url) }, signal());
    expect(await fleet.ids()).toEqual(ids);
    expect(places).toEqual([`http://127.0.0.1:${(await fleet.containers())[0]?.labels["fleet.port"]}`]);
  });

  test("a manager that never started its fleet leaves alone what an earlier one kept", async () => {
    await using fleet = await ShellFleet.make(image);
    await (await fleet.start()).stop(new Set([FIRST]));
    await fleet.backend().stop(NOBODY_KEPT);
    expect(await fleet.ids()).toHaveLength(1);
  });

  test("a stranger's container that has the name is named, not touched; the others start; it goes on when it is gone", async () => {
    await using fleet = await ShellFleet.make(image);
    const name = `fleet-${fleet.name}-000`;
    const { stdout } = await run("docker", ["create", "--name", name, image]);
    const stranger = stdout.trim();
    const starting = fleet.backend(2).start(fleet.events, AbortSignal.timeout(60_000));
    try {
      await expect
        .poll(() => fleet.told, DEADLINE)
        .toEqual(
          expect.arrayContaining([
            "placed 1",
            expect.stringMatching(
              `^waiting 0: the name ${name} is taken by container ${stranger.slice(0, 12)}, which is not of this fleet: rename or remove it`,
            ),
          ]),
        );
      expect((await run("docker", ["inspect", "-f", "{{.State.Status}}", stranger])).stdout).toBe(
        "created\n",
      );
    } finally {
      await run("docker", ["rm", stranger]);
    }
    await starting;
    expect(fleet.told).toContain("placed 0");
  });

  test("a fleet that ends while it starts leaves no container behind", async () => {
    await using fleet = await ShellFleet.make(image);
    const backend = fleet.backend(4);
    const starting = backend.start(fleet.events, signal()).catch(errorText);
    await expect.poll(async () => await fleet.ids(), { ...DEADLINE, interval: 5 }).not.toEqual([]);
    await backend.stop(NOBODY_KEPT);
    expect(await starting).toBe("the manager stops");
    expect(await fleet.ids()).toEqual([]);
  });

  test("an image that is nowhere fails the start", async () => {
    await using fleet = await ShellFleet.make("executor-fleet-test-nowhere:1");
    await expect(fleet.start()).rejects.toThrow("the container of executor 0 cannot be made");
  });

  test("a restart is no loss; an end right after it is", async () => {
    await using fleet = await ShellFleet.make(image);
    const backend = await fleet.start();
    const ids = await fleet.ids();
    await backend.restart(FIRST, signal());
    await backend.restart(FIRST, signal());
    expect(await fleet.ids()).toEqual(ids);
    await run("docker", ["kill", ids[0] ?? ""]);
    await expect
      .poll(() => fleet.losses, DEADLINE)
      .toEqual(["lost 0: its container ended with exit code 137"]);
    await expect.poll(async () => (await fleet.containers())[0]?.running, DEADLINE).toBe(true);
    expect(fleet.losses).toHaveLength(1);
  });

  test("a replaced executor has a new container, which is no loss", async () => {
    await using fleet = await ShellFleet.make(image);
    const backend = await fleet.start();
    const [before] = await fleet.ids();
    await backend.replace(FIRST, signal());
    const [after, ...others] = await fleet.containers();
    expect(after).toMatchObject({ running: true, name: `fleet-${fleet.name}-000` });
    expect(after?.id).not.toBe(before);
    expect(others).toEqual([]);
    await run("docker", ["rm", "-f", after?.id ?? ""]);
    await expect
      .poll(() => fleet.losses, DEADLINE)
      .toEqual(["lost 0: its container ended with exit code 137"]);
    await expect.poll(async () => (await fleet.containers())[0]?.running, DEADLINE).toBe(true);
  });

  test("a restart makes the container anew where there is none", async () => {
    await using fleet = await ShellFleet.make(image);
    const backend = await fleet.start();
    const [before] = await fleet.ids();
    await run("docker", ["rm", "-f", before ?? ""]);
    await backend.restart(FIRST, signal());
    expect(await fleet.containers()).toEqual([expect.objectContaining({ running: true })]);
  });
});
