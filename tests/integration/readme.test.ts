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

test.each([
  ["the first call", "print(x)"],
  ["the stream of events", "x-ndjson"],
])("%s prints what it says", async (_, containing) => {
  const [command = "", ...reply] = (await readmeBlock("console", containing)).split("\n");
  await fetch(`${fleet.url}/restart`, { method: "POST" });
  const printed = await shell(command.replace(/^\$ /, ""));
  const stable = (text: string) =>
    text.replaceAll(/"duration_ms":[\d.]+|"(?:kernel_)?id":"[^"]+"/g, "").trim();
  expect(stable(printed)).toBe(stable(reply.join("\n")));
});

test("the walk through sessions does what its comments say", async () => {
  await shell(`curl -X POST localhost:5000/session/0/execute -H 'Content-Type: text/plain' -d 'x = 42'`);
  const printed = await shell(await readmeBlock("bash", "still knows x"));
  expect(printed).toContain(`{"type":"result","data":{"text/plain":"43"}}`);
  expect(printed).toContain(`"name":"NameError"`);
  expect(printed).toContain(`{"status":"deallocated","container_id":0}`);
});

test("the walk through named sessions does what its comments say", async () => {
  const printed = await shell(await readmeBlock("bash", "cache@lab"));
  expect(printed).toContain(`"name":"cache","namespace":"lab","state":"open"`);
  expect(printed).toContain(`{"type":"result","data":{"text/plain":"'test'"}}`);
  expect(printed).toContain(`"singletons":[]`);
  expect(printed).toMatch(/"ends_at":"\d{4}-/);
  expect(printed).toContain(`"status":"ended"`);
});
