import { execFile } from "node:child_process";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { executeReplySchema } from "#contract/execution.ts";
import { describeAcceptance } from "#tests/support/acceptance.ts";
import { ComposeFleet } from "#tests/support/compose-fleet.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { PROJECT_DIR, UTILITIES_DIR } from "#tests/support/fleets.ts";

const skipped = await reasonToSkipDocker();
const because = skipped === undefined ? "" : `: skipped, ${skipped}`;
const run = promisify(execFile);

describe.skipIf(skipped)(`a fleet of a generated Compose file${because}`, () => {
  let fleet: ComposeFleet;

  beforeAll(async () => {
    const limits = ["--cpus", "1"];
    fleet = await ComposeFleet.up(["-m", UTILITIES_DIR, "-n", "2", "-t", "python:2", ...limits]);
  });

  afterAll(() => fleet.down());

  describeAcceptance(() => fleet);

  test("an executor that is killed comes back, clean, and its session has ended", async () => {
    const execute = async (code: string) => {
      const body = JSON.stringify({ code });
      const headers = { "content-type": "application/json" };
      const reply = await fetch(`${fleet.url}/session/0/execute`, { method: "POST", headers, body });
      return reply.status === 200 ? executeReplySchema.parse(await reply.json()) : undefined;
    };
    await execute("left_behind = 1");
    await fleet.compose("kill", "executor-000");
    await fleet.compose("start", "executor-000");
    await expect
      .poll(() => execute("left_behind"), { timeout: 60_000 })
      .toMatchObject({ outputs: [{ name: "NameError" }] });
  });
});

describe.skipIf(skipped)(`executors of other makers beside ours${because}`, () => {
  const image = "executor-fleet-test-foreign";
  let fleet: ComposeFleet;

  beforeAll(async () => {
    const context = await mkdtemp(join(tmpdir(), "foreign-image-"));
    await cp(join(PROJECT_DIR, "tests/support/foreign-executor.py"), join(context, "executor.py"));
    const dockerfile = [
      "FROM python:3.13-slim-trixie",
      "COPY executor.py /",
      "ENV HOST=0.0.0.0 PORT=8432",
      // It ends when its standard input does, which a container does not have.
      "CMD sleep infinity | python3 /executor.py",
    ];
    await writeFile(join(context, "Dockerfile"), dockerfile.join("\n"));
    await run("docker", ["build", "--quiet", "--tag", image, context]);
    await rm(context, { recursive: true });
    fleet = await ComposeFleet.up(["-t", `python:1,other:1,other=${image}`, "--network", "shared"]);
  });

  afterAll(async () => {
    await fleet.down();
    await run("docker", ["image", "rm", image]);
  });

  test.each([
    ["python", 0],
    ["other", 1],
  ])("a session of type %s keeps its variables", async (type, number) => {
    const headers = { "content-type": "application/json" };
    const allocated = await fetch(`${fleet.url}/allocate?container_type=${type}`, { method: "POST" });
    expect(await allocated.json()).toMatchObject({ container_id: number, type });
    const execute = (code: string) =>
      fetch(`${fleet.url}/session/${number}/execute`, {
        method: "POST",
        headers,
        body: JSON.stringify({ code }),
      });
    await execute("x = 42");
    expect(await (await execute("print(x)")).json()).toMatchObject({
      outputs: [{ type: "stream", name: "stdout", text: "42\n" }],
    });
    const deallocated = await fetch(`${fleet.url}/deallocate/${number}`, { method: "POST" });
    expect(await deallocated.json()).toEqual({ status: "deallocated", container_id: number });
  });
});
