import { access, constants, readdir } from "node:fs/promises";
import { delimiter, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { CliError } from "./cli-error.ts";
import { makeFolder } from "./make-folder.ts";

const KERNEL_NAME = "deno";

interface DenoSetup {
  projectDir: string;
  jupyterDir: string;
  path: string | undefined;
}

/**
 * Finds Deno and tells how an executor finds its kernel in a folder of Jupyter's data files.
 *
 * @throws {CliError} when there is no Deno
 */
export async function findDenoKernel({ projectDir, jupyterDir, path }: DenoSetup) {
  const deno = await findDeno(projectDir, path);
  return { deno, variables: { KERNEL_NAME, JUPYTER_PATH: jupyterDir } };
}

/**
 * Writes the kernelspec of Deno's kernel into a folder of Jupyter's data files. Source: Jupyter client, "Kernel specs".
 *
 * @returns the variables by which an executor finds it
 * @throws {CliError} when there is no Deno
 */
export async function makeDenoKernel(setup: DenoSetup): Promise<Record<string, string>> {
  const { deno, variables } = await findDenoKernel(setup);
  const folder = join(setup.jupyterDir, "kernels", KERNEL_NAME);
  const argv = [deno, "jupyter", "--kernel", "--conn", "{connection_file}"];
  await makeFolder(folder);
  await writeFileAtomic(
    join(folder, "kernel.json"),
    JSON.stringify({ argv, display_name: "Deno", language: "typescript" }),
  );
  return variables;
}

/** The program itself: what npm links under `.bin` only starts it, and would swallow signals. */
async function findDeno(projectDir: string, path = ""): Promise<string> {
  const packages = join(projectDir, "node_modules", "@deno");
  const names: string[] = await readdir(packages).catch(() => []);
  const platform = `${process.platform}-${process.arch}`;
  const candidates = [
    ...names.filter((name) => name.startsWith(platform)).map((name) => join(packages, name, "deno")),
    ...path.split(delimiter).flatMap((folder) => (folder === "" ? [] : [join(folder, "deno")])),
  ];
  for (const candidate of candidates) {
    const runs = await access(candidate, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (runs) return candidate;
  }
  throw new CliError(
    `type typescript runs on Deno, which is neither among the project's packages nor on PATH: ` +
      `run "npm ci" with optional packages, or install Deno`,
  );
}
