import { readFile } from "node:fs/promises";
import { errorText } from "#contract/errors.ts";
import { parseKeyFile } from "#contract/key-file.ts";
import { ConfigError } from "./config-error.ts";

/**
 * The keys that a file holds, which `setting` names.
 *
 * @throws {ConfigError} for one that cannot be read or that holds no key: it was meant to keep others out
 */
export async function readKeyFile(file: string, setting: string): Promise<string[]> {
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new ConfigError(`${setting}: ${errorText(error)}`);
  });
  const keys = parseKeyFile(text);
  if (keys.length === 0) throw new ConfigError(`${setting}: ${file} holds no key`);
  return keys;
}
