import { stringify } from "yaml";
import type { ComposeDocument, ComposeValue } from "./compose-document.ts";

const HEADER = "# Written by generate-compose: generate it again instead of editing it.\n";

/**
 * The text of a Compose file. Every string is quoted and its `$` doubled, so that neither YAML nor Compose's
 * interpolation reads anything into it; repeated parts are written out, not made into anchors.
 */
export function toYaml(document: ComposeDocument): string {
  // YAML 1.1 quotes also the keys that older readers take for something else, such as `no`.
  return (
    HEADER +
    stringify(escapeDollars({ ...document }), {
      aliasDuplicateObjects: false,
      version: "1.1",
      defaultStringType: "QUOTE_DOUBLE",
      defaultKeyType: "PLAIN",
      lineWidth: 0,
    })
  );
}

function escapeDollars(value: ComposeValue): ComposeValue {
  if (typeof value === "string") return value.replaceAll("$", "$$$$");
  if (Array.isArray(value)) return value.map(escapeDollars);
  if (typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, escapeDollars(item)]));
}
