import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import { z } from "zod";

/** A kernelspec, as Jupyter installs it. Source: Jupyter client, "Kernel specs". */
const kernelspecSchema = z.object({
  argv: z.array(z.string()).min(1),
  language: z.string(),
  interrupt_mode: z.enum(["signal", "message"]).default("signal"),
  env: z.record(z.string(), z.string()).default({}),
});

export interface Kernelspec extends z.infer<typeof kernelspecSchema> {
  /** The folder that it was found in. */
  resourceDir: string;
}

const NAME = /^[\w.-]+$/;

/**
 * Finds a kernelspec by its name, in the places and in the order in which Jupyter looks.
 *
 * @param python the Python whose environment may hold kernelspecs.
 * @throws {Error} when there is none, with the places looked at, or when it is malformed.
 */
export async function findKernelspec(
  name: string,
  { python, env }: { python: string; env: Record<string, string> },
): Promise<Kernelspec> {
  if (!NAME.test(name)) throw new Error(`"${name}" cannot be the name of a kernelspec`);
  const folders = dataFolders(python, env).map((folder) => join(folder, "kernels", name));
  for (const resourceDir of folders) {
    const file = join(resourceDir, "kernel.json");
    let text: string;
    try {
      text = await readFile(file, "utf8");
    } catch {
      continue;
    }
    try {
      return { ...kernelspecSchema.parse(JSON.parse(text)), resourceDir };
    } catch (error) {
      throw new Error(`${file} is not a kernelspec`, { cause: error });
    }
  }
  throw new Error(`There is no kernelspec "${name}" in ${folders.map(dirname).join(", ")}: see KERNEL_NAME`);
}

/** Source: Jupyter core, "Data files". */
function dataFolders(python: string, env: Record<string, string>): string[] {
  return [
    ...(env["JUPYTER_PATH"]?.split(delimiter).filter((folder) => folder !== "") ?? []),
    env["JUPYTER_DATA_DIR"] ?? join(env["HOME"] ?? homedir(), ".local/share/jupyter"),
    ...(isAbsolute(python) ? [join(dirname(dirname(python)), "share/jupyter")] : []),
    "/usr/local/share/jupyter",
    "/usr/share/jupyter",
  ];
}

/** The command line of a kernel: the placeholders filled in, and `python` meaning the executor's own. */
export function commandOf(spec: Kernelspec, connectionFile: string, python: string): [string, ...string[]] {
  const [program = "", ...args] = spec.argv.map((part) =>
    part.replaceAll("{connection_file}", connectionFile).replaceAll("{resource_dir}", spec.resourceDir),
  );
  return [/^python(3(\.\d+)?)?$/.test(program) ? python : program, ...args];
}

/**
 * The kernel's environment: `${NAME}` in the spec's values stands for what is set already. Results without colours,
 * unless asked for: they go to programs.
 */
export function environmentOf(spec: Kernelspec, env: Record<string, string>): Record<string, string> {
  const own = Object.entries(spec.env).map(([name, value]) => [
    name,
    value.replaceAll(/\$\{(\w+)\}/g, (whole, variable: string) => env[variable] ?? whole),
  ]);
  return { NO_COLOR: "1", ...env, ...Object.fromEntries(own) };
}
