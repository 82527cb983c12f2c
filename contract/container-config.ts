import { z } from "zod";
import { resetKindSchema, type ResetKind } from "./executor-api.ts";

/** Where an executor listens: `http://host:port`, or `unix:/path/to.sock`. */
export const executorUrlSchema = z.string().refine(isExecutorUrl, {
  error: (issue) => `${JSON.stringify(issue.input)} is neither http://host[:port] nor unix:/absolute/path`,
});

function isExecutorUrl(text: string): boolean {
  if (text.startsWith("unix:")) return text.startsWith("unix:/") && text.length > "unix:/".length;
  const url = URL.parse(text);
  // Nothing may follow the port: it would be left out of every request.
  return url !== null && /^https?:$/.test(url.protocol) && `${url.origin}/` === url.href;
}

/** An executor's url alone is its old form. */
const entrySchema = z.preprocess(
  (entry) => (typeof entry === "string" ? { url: entry } : entry),
  z.object({
    url: executorUrlSchema,
    type: z.string().min(1).default("python"),
    reset: resetKindSchema.optional(),
  }),
);

const configSchema = z.record(z.string().regex(/^(0|[1-9]\d{0,8})$/), entrySchema, {
  error: (issue) =>
    issue.code === "invalid_key" ? "the key is not an executor number (0, 1, …)" : undefined,
});

/** One executor of a static fleet. */
export interface ContainerConfigEntry {
  number: number;
  url: string;
  type: string;
  /** How it is cleared of a tenant; absent for the manager's default. */
  reset?: ResetKind | undefined;
}

/** The manager's map of a static fleet, as the generator writes it. */
export type ContainerConfig = Record<string, { url: string; type: string; reset?: ResetKind }>;

/**
 * Reads the text of a `container_config.json`. Besides `{"0":{"url","type","reset"}}` two older forms are understood:
 * `{"0":"http://host:port"}` and a list of urls or entries, numbered by their place. A missing type is `python`.
 *
 * @throws {Error} with every problem in its message.
 */
export function parseContainerConfig(text: string): ContainerConfigEntry[] {
  const json = parseJson(text);
  const parsed = configSchema.safeParse(Array.isArray(json) ? Object.fromEntries(json.entries()) : json);
  if (!parsed.success) throw new Error(`not a container config:\n${z.prettifyError(parsed.error)}`);
  const entries = Object.entries(parsed.data).map(([number, entry]) => ({
    number: Number(number),
    ...entry,
  }));
  if (entries.length === 0) throw new Error("no executor in it");
  const duplicate = entries.find(
    (entry, index) => entries.findIndex((other) => other.url === entry.url) !== index,
  );
  if (duplicate) throw new Error(`two executors have the url ${duplicate.url}`);
  return entries.toSorted((a, b) => a.number - b.number);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`not JSON: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
