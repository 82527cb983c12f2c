import { describe, expect, test } from "vitest";
import { parseGpuIds } from "#compose/parse-gpus.ts";
import {
  formatMemory,
  MIB,
  parseCpus,
  parseMemory,
  parsePids,
  parsePort,
  parseTimeout,
} from "#compose/parse-limits.ts";

describe("parseMemory", () => {
  test.each([
    ["256M", 256 * MIB],
    ["256m", 256 * MIB],
    ["512MiB", 512 * MIB],
    ["1.5 GB", 1536 * MIB],
    ["8388608", 8 * MIB],
    ["6144k", 6 * MIB],
  ])("%j is %i bytes", (text, bytes) => {
    expect(parseMemory(text)).toEqual({ ok: true, value: bytes });
  });

  test.each(["", "M", "lots", "-1M", "1X", "256M M", "0x100", "1e9", "256", "5M", "9999999999T"])(
    "%j is refused",
    (text) => {
      expect(parseMemory(text)).toMatchObject({ ok: false });
    },
  );

  test("a size is written in the largest unit that fits it exactly", () => {
    expect([256 * MIB, 1024 * MIB, 1536 * MIB, 6144 * 1024, 6_291_457].map(formatMemory)).toEqual([
      "256M",
      "1G",
      "1536M",
      "6M",
      "6291457",
    ]);
  });
});

test.each([
  [parseCpus, ["0.25", "2"], ["0", "0.001", "-1", "", "half", "1e3", "Infinity"]],
  [parseTimeout, ["0.5", "30", "604800"], ["0", "-3", "604801", "30s", ""]],
  [parsePids, ["32", "256"], ["31", "1.5", "", "many"]],
  [parsePort, ["1", "65535"], ["0", "65536", "80.0", "-1", "http", " 80"]],
])("%o takes %j and refuses %j", (parse, good, bad) => {
  for (const text of good) expect(parse(text)).toEqual({ ok: true, value: Number(text) });
  for (const text of bad) expect(parse(text)).toMatchObject({ ok: false, problems: [expect.any(String)] });
});

describe("parseGpuIds", () => {
  test("- is no GPU, and may come often", () => {
    expect(parseGpuIds("0,-, GPU-1a2b ,-")).toEqual({ ok: true, value: ["0", null, "GPU-1a2b", null] });
  });

  test("a GPU given twice and an id that is none are both told", () => {
    expect(parseGpuIds("0,0,x y")).toEqual({
      ok: false,
      problems: ["GPU 0 is given twice", '"x y" is not a GPU id (a number, a GPU-… id, or - for none)'],
    });
  });
});
