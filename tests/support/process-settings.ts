import { join } from "node:path";
import type { ProcessBackendSettings } from "#manager/fleet/process/wanted-executor.ts";

const PROJECT_DIR = join(import.meta.dirname, "../..");

/** Two executors from source with everything of theirs in one folder. They load `test-code/utilities`. */
export function processSettings(
  folder: string,
  changes: Partial<ProcessBackendSettings> = {},
): ProcessBackendSettings {
  const { PATH = "", HOME = "", FLEET_PYTHON = "python3" } = process.env;
  return {
    types: ["python", "python"],
    command: [process.execPath, join(PROJECT_DIR, "executor/main.ts")],
    env: {
      PATH,
      HOME,
      TMPDIR: folder,
      KERNEL_PYTHON: FLEET_PYTHON,
      WORKSPACE_FOLDER: join(PROJECT_DIR, "test-code/utilities"),
      EXECUTION_TIMEOUT: "30",
    },
    envOfType: {},
    logDir: folder,
    stateDir: join(folder, "executors"),
    ...changes,
  };
}
