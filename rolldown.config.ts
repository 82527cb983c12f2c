import { cp, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { defineConfig } from "rolldown";

const pythonSources = "executor/kernel";

/** The kernel host runs in Python: its files lie beside the bundle as they lie beside the module that starts them. */
const copyPython = {
  name: "copy-python",
  async writeBundle() {
    await mkdir("dist", { recursive: true });
    for (const file of await readdir(pythonSources)) {
      if (file.endsWith(".py")) await cp(join(pythonSources, file), join("dist", file));
    }
  },
};

/**
 * Bundles the three programs: a bundle starts faster and takes less memory than stripping types at run time.
 * `zeromq` and `dockerode` (through `ssh2`) stay outside because they load binaries from their packages' folders.
 */
export default defineConfig({
  input: { executor: "executor/main.ts", manager: "manager/main.ts", fleet: "cli/main.ts" },
  platform: "node",
  external: ["zeromq", "dockerode"],
  plugins: [copyPython],
  // A dependency looks for a configuration file that way, which is not there.
  checks: { eval: false },
  output: { dir: "dist", format: "esm", cleanDir: true, chunkFileNames: "[name]-[hash].js" },
});
