import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT_DIR } from "./fleets.ts";

/** The code blocks of one language in the README, in order. */
export async function readmeBlocks(language: string): Promise<string[]> {
  const text = await readFile(join(PROJECT_DIR, "README.md"), "utf8");
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].flatMap(([, given, code]) =>
    given === language && code !== undefined ? [code] : [],
  );
}

/** The one block that contains a text. Fails when the README has none, so that no test passes for want of one. */
export async function readmeBlock(language: string, containing: string): Promise<string> {
  const block = (await readmeBlocks(language)).find((code) => code.includes(containing));
  if (block === undefined) throw new Error(`README.md has no ${language} block with ${containing}`);
  return block;
}
