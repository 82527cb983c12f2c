import { readFile } from "node:fs/promises";
import { LineCounter, parseDocument, type YAMLError } from "yaml";
import { z } from "zod";
import { errorText, ServiceError } from "#contract/errors.ts";
import { formatSessionName, namespaceSchema, sessionNameSchema, type SessionName } from "#contract/ids.ts";
import { sessionSpecSchema } from "#contract/manager-api.ts";
import { ConfigError } from "./config-error.ts";
import { parseSessionName } from "./sessions/session-ref.ts";
import type { WantedSession } from "./sessions/singletons.ts";

/** The fleet's config: what cannot be said in a variable. */
export interface FleetConfig {
  /** Named sessions that are opened at the start, if they are not there. */
  bootstrap: WantedSession[];
}

/**
 * Reads a fleet's config, in YAML. Names without a namespace are in the one that is given: the manager's own.
 *
 * @throws {ConfigError} with every problem in its message, and no value of the file, which may be a secret
 */
export async function readFleetConfig(file: string, namespace: string): Promise<FleetConfig> {
  const refuse = (what: string, cause?: unknown) =>
    new ConfigError(`FLEET_CONFIG_FILE: ${file}: ${what}`, { cause });
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw refuse(errorText(error), error);
  });
  const lines = new LineCounter();
  // Its pretty errors show the lines around them.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problems = [...document.errors, ...document.warnings];
  if (problems.length > 0) throw refuse(problems.map((problem) => describe(problem, lines)).join("; "));
  let content: unknown;
  try {
    content = document.toJS();
  } catch (error) {
    // Aliases are followed only here.
    throw refuse(withoutValue(errorText(error)));
  }
  const parsed = configSchema(namespace).safeParse(content ?? {});
  if (!parsed.success) throw refuse(z.prettifyError(parsed.error), parsed.error);
  return parsed.data;
}

function configSchema(namespace: string) {
  const bootstrap = z.array(entrySchema(namespace)).superRefine((entries, context) => {
    const names = entries.map(({ name }) => formatSessionName(name));
    for (const [index, name] of names.entries()) {
      const first = names.indexOf(name);
      if (first === index) continue;
      context.addIssue({ code: "custom", path: [index], message: `${name} is bootstrap[${first}] already` });
    }
  });
  return z.strictObject({ bootstrap: bootstrap.default([]) });
}

/** A name alone, with or without its namespace, stands for a session with nothing special about it. */
function entrySchema(namespace: string) {
  const entry = sessionSpecSchema.extend({ name: sessionNameSchema, namespace: namespaceSchema.optional() });
  return z.preprocess(
    (written, context) => (typeof written === "string" ? readName(written, namespace, context) : written),
    entry.transform(({ name, namespace: own, ...spec }): WantedSession => {
      const written = own === undefined ? name : formatSessionName({ name, namespace: own });
      return { name: parseSessionName(written, namespace), spec };
    }),
  );
}

function readName(written: string, namespace: string, context: z.RefinementCtx): SessionName {
  try {
    return parseSessionName(written, namespace);
  } catch (error) {
    if (!(error instanceof ServiceError) || typeof error.detail === "string") throw error;
    for (const { loc, msg } of error.detail)
      context.addIssue({ code: "custom", path: loc.slice(1), message: msg });
    return z.NEVER;
  }
}

/** Where a problem is and which, without the text of the file that some messages end with. */
function describe({ code, message, pos }: YAMLError, lines: LineCounter): string {
  const { line, col } = lines.linePos(pos[0]);
  const what = code === "TAG_RESOLVE_FAILED" ? "Unknown tag" : withoutValue(message);
  return `line ${line}, column ${col}: ${what}`;
}

function withoutValue(message: string): string {
  return message.replace(/(: | \\).*$/s, "");
}
