import { parseEnv } from "node:util";
import { invalid, quoted, valid, type Parsed } from "./parsed.ts";

export type Environment = Readonly<Record<string, string>>;

/** Named settings for common uses: how long one execution may take, in seconds. */
export const PRESETS: ReadonlyMap<string, Environment> = new Map([
  ["quick", { EXECUTION_TIMEOUT: "5" }],
  ["default", { EXECUTION_TIMEOUT: "30" }],
  ["long", { EXECUTION_TIMEOUT: "300" }],
]);

/** What the generator itself sets, and what the manager could not know of, beside every `EXECUTOR_` variable. */
const RESERVED = new Set([
  "CONTAINER_RESTARTS",
  "HOST",
  "KERNEL_USER",
  "PORT",
  "SUBMISSION_DIR",
  "WORKING_DIR",
  "WORKSPACE_FOLDER",
]);

/** Of what a shell can set, all but the one name that a JavaScript object cannot hold. */
const NAME = /^(?!__proto__$)[A-Za-z_][A-Za-z0-9_]*$/;

/**
 * Reads `K=V` texts; one text may hold several, `K=V,K2=V2`. A comma that no `NAME=` follows belongs to the value, so
 * that `LIST=a,b` is one variable. Later ones win.
 */
export function parseEnvironment(texts: readonly string[]): Parsed<Environment> {
  const variables: [string, string][] = [];
  const problems: string[] = [];
  for (const entry of texts.flatMap((text) => text.split(/,(?=[A-Za-z_][A-Za-z0-9_]*=)/))) {
    const end = entry.indexOf("=");
    if (end < 1) problems.push(`${quoted(entry)} is not NAME=VALUE`);
    else variables.push([entry.slice(0, end), entry.slice(end + 1)]);
  }
  return checked(variables, problems);
}

/** Reads a file of `NAME=VALUE` lines: quotes, comments and `export` as in other `.env` files. */
export function parseEnvironmentFile(text: string): Parsed<Environment> {
  return checked(
    Object.entries(parseEnv(text)).map(([name, value]) => [name, value ?? ""]),
    [],
  );
}

function checked(variables: [string, string][], problems: string[]): Parsed<Environment> {
  const all = [...problems, ...variables.flatMap(variableProblems)];
  return all.length > 0 ? invalid(...all) : valid(Object.fromEntries(variables));
}

function variableProblems([name, value]: [string, string]): string[] {
  if (!NAME.test(name)) return [`${quoted(name)} is not a variable name`];
  if (RESERVED.has(name) || name.startsWith("EXECUTOR_"))
    return [`${name} is reserved: the generator sets it`];
  // User code reads its environment, so that a key of the manager's must not get there.
  if (name.startsWith("FLEET_")) return [`${name} is reserved: FLEET_ variables are the manager's`];
  return value.includes("\0") ? [`${name} holds a NUL character`] : [];
}
