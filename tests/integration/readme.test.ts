import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunningManager } from "#manager/start-manager.ts";
import { PROJECT_DIR, startProcessFleet } from "#tests/support/fleets.ts";
import { readmeBlock } from "#tests/support/readme.ts";

const run = promisify(execFile);
let fleet: RunningManager;

beforeAll(async () => {
  fleet = await startProcessFleet();
});

afterAll(() => fleet[Symbol.asyncDispose]());

/** Runs shell commands of the README against this fleet. */
async function shell(commands: string): Promise<string> {
  const script = commands
    .replaceAll("localhost:5000", fleet.url)
    .replaceAll("curl ", "curl --silent --show-error ");
  return (await run("bash", ["-euo", "pipefail", "-c", script], { cwd: PROJECT_DIR })).stdout;
}

test("the first call of the README prints what it says", async () => {
  const [command = "", reply = ""] = (await readmeBlock("console", `print(x)`)).split("\n");
  const printed = await shell(command.replace(/^\$ /, ""));
  const stable = (text: string) => text.replace(/"duration_ms":[\d.]+|"id":"[^"]+"/g, "").trim();
  expect(stable(printed)).toBe(stable(reply));
});

test("the walk through sessions does what its comments say", async () => {
  const printed = await shell(await readmeBlock("bash", "still knows x"));
  expect(printed).toContain(`{"type":"result","data":{"text/plain":"43"}}`);
  expect(printed).toContain(`"name":"NameError"`);
  expect(printed).toContain(`{"status":"deallocated","container_id":0}`);
});
