import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parse } from "yaml";
import type { ComposeObject, ComposeValue } from "#compose/compose-document.ts";
import { toYaml } from "#compose/to-yaml.ts";

/** A name that a variable may have. */
const names = fc.oneof(
  fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]*$/).filter((name) => name !== "__proto__"),
  fc.constantFrom("NO", "y", "true", "null", "on", "E1"),
);

function roundTrip(service: ComposeObject, version: "1.1" | "1.2"): unknown {
  return undollar(
    parse(toYaml({ name: "x", services: { a: service }, volumes: {} }), { version }).services.a,
  );
}

/** What Compose's interpolation makes of `$$` in values; it leaves keys alone. */
function undollar(value: ComposeValue): ComposeValue {
  if (typeof value === "string") return value.replaceAll("$$", "$");
  if (Array.isArray(value)) return value.map(undollar);
  if (typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, undollar(item)]));
}

test("any string stays the same value, for readers of YAML 1.1 and 1.2", () => {
  const strings = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom(
      "no",
      "~",
      "null",
      "0123",
      "1e3",
      "12:30:45",
      "<<",
      "a: {b",
      "# x",
      "- x",
      "'",
      '"',
      "\n",
      "$x",
      "$$",
      "%",
    ),
  );
  fc.assert(
    fc.property(names, strings, fc.constantFrom("1.1" as const, "1.2" as const), (name, value, version) => {
      const service = { environment: { [name]: value }, list: [value] };
      expect(roundTrip(service, version)).toEqual(service);
    }),
    { numRuns: 500 },
  );
});

test("no dollar is left for Compose to interpolate", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("$", "{", "}", "A", "-") }), (value) => {
      const text = toYaml({ name: "x", services: { a: { image: value } }, volumes: {} });
      expect(text.replaceAll("$$", "")).not.toContain("$");
    }),
  );
});

test("parts that repeat are written out, never as anchors", () => {
  const shared = { driver: "json-file" };
  const text = toYaml({
    name: "x",
    services: { a: { logging: shared }, b: { logging: shared } },
    volumes: {},
  });
  expect(text).not.toMatch(/[&*]/);
});
