import { pino } from "pino";
import { describe, expect, test } from "vitest";
import { ProcessBackend } from "#manager/fleet/process/process-backend.ts";
import { wantedExecutors, type ProcessBackendSettings } from "#manager/fleet/process/wanted-executor.ts";

const settings: ProcessBackendSettings = {
  types: ["python", "typescript"],
  command: ["node", "executor.js"],
  env: { A: "1", B: "2" },
  envOfType: { typescript: { KERNEL_NAME: "deno" } },
  logDir: "/logs",
  stateDir: "/state",
};

function fingerprints(changes: Partial<ProcessBackendSettings> = {}) {
  return wantedExecutors({ ...settings, ...changes }).map(({ fingerprint }) => fingerprint);
}

describe("the fingerprint of an executor", () => {
  test("is the same for the same settings, in whatever order they are told and wherever its log is", () => {
    expect(fingerprints({ env: { B: "2", A: "1" }, logDir: "/elsewhere" })).toEqual(fingerprints());
  });

  test.each([
    ["command", { command: ["node", "other.js"] }],
    ["environment", { env: { A: "1", B: "3" } }],
    ["submission directory", { submissionDirectories: ["/a", "/b"] }],
    ["time that it waits for a manager", { orphanGraceMs: 1_000 }],
  ])("is another one for another %s", (_, changes) => {
    const [python, typescript] = fingerprints();
    const [otherPython, otherTypescript] = fingerprints(changes);
    expect(otherPython).not.toBe(python);
    expect(otherTypescript).not.toBe(typescript);
  });

  test("covers what its type adds, and that alone", () => {
    const [python, typescript] = fingerprints();
    const [otherPython, otherTypescript] = fingerprints({ envOfType: {} });
    expect(otherPython).toBe(python);
    expect(otherTypescript).not.toBe(typescript);
  });
});

test("processes are reset by their kernels, and a wish for more is answered with a warning", async () => {
  const backend = new ProcessBackend(
    { ...settings, resets: { python: "container", typescript: "kernel", other: "container" } },
    pino({ level: "silent" }),
  );
  expect(await backend.plan()).toEqual([
    { number: 0, type: "python", reset: "kernel" },
    { number: 1, type: "typescript", reset: "kernel" },
  ]);
  expect(backend.warnings.filter((warning) => warning.includes("kernel resets only"))).toEqual([
    expect.stringContaining("type python"),
  ]);
});
