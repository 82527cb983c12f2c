import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { z } from "zod";
import { errorText } from "#contract/errors.ts";
import { bootstrapSessionSchema, type BootstrapSession } from "#contract/manager-api.ts";
import { ConfigError } from "./config-error.ts";

/** A name alone, with or without its namespace, stands for a session with nothing special about it. */
function longForm(entry: unknown): unknown {
  if (typeof entry !== "string") return entry;
  const at = entry.indexOf("@");
  return at < 0 ? { name: entry } : { name: entry.slice(0, at), namespace: entry.slice(at + 1) };
}

const fleetConfigSchema = z.strictObject({
  bootstrap: z.array(z.preprocess(longForm, bootstrapSessionSchema)).default([]),
});

/** The fleet's config: what cannot be said in a variable. */
export interface FleetConfig {
  /** Named sessions that are opened at the start, if they are not there. */
  bootstrap: BootstrapSession[];
}

/**
 * Reads a fleet's config, in YAML.
 *
 * @throws {ConfigError} with every problem in its message
 */
export async function readFleetConfig(file: string): Promise<FleetConfig> {
  const refuse = (what: string, cause?: unknown) =>
    new ConfigError(`FLEET_CONFIG_FILE: ${file}: ${what}`, { cause });
  let document: unknown;
  try {
    document = parse(await readFile(file, "utf8"));
  } catch (error) {
    throw refuse(errorText(error), error);
  }
  const parsed = fleetConfigSchema.safeParse(document ?? {});
  if (!parsed.success) throw refuse(z.prettifyError(parsed.error), parsed.error);
  const names = parsed.data.bootstrap.map(({ name, namespace }) => `${name}@${namespace ?? ""}`);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw refuse(`bootstrap names ${twice.replace(/@$/, "")} twice`);
  return parsed.data;
}
