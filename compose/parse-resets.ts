import { resetKindSchema, type ResetKind } from "#contract/executor-api.ts";
import type { TypeCount } from "./parse-types.ts";
import { invalid, quoted, valid, type Parsed } from "./parsed.ts";

const KINDS = resetKindSchema.options.join(" nor ");

/**
 * Reads how executors are cleared of a tenant: one kind for all types, `container`, or kinds by type,
 * `python=container,typescript=kernel`.
 *
 * @param types of the fleet; undefined where they could not be read, so that none is unknown.
 */
export function parseResets(
  text: string,
  types: readonly TypeCount[] | undefined,
): Parsed<Record<string, ResetKind>> {
  const known = types?.map(({ type }) => type);
  const ofAll = resetKindSchema.safeParse(text);
  if (ofAll.success) return valid(Object.fromEntries((known ?? []).map((type) => [type, ofAll.data])));
  const resets = new Map<string, ResetKind>();
  const problems: string[] = [];
  for (const entry of text.split(",").map((part) => part.trim())) {
    const [type = "", kind, ...rest] = entry.split("=");
    const parsed = resetKindSchema.safeParse(kind);
    if (kind === undefined || rest.length > 0 || !parsed.success)
      problems.push(`${quoted(entry)} is neither ${KINDS} nor TYPE=KIND with one of these`);
    else if (known?.includes(type) === false)
      problems.push(`no executor is of type ${quoted(type)}: types are ${known.join(", ")}`);
    else if (resets.has(type)) problems.push(`type ${quoted(type)} is given twice`);
    else resets.set(type, parsed.data);
  }
  return problems.length > 0 ? invalid(...problems) : valid(Object.fromEntries(resets));
}
