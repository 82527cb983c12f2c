import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MemoryGroup } from "#executor/kernel/memory.ts";

let dir: string;
const write = (files: Record<string, string>) =>
  Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(dir, name), text)));

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "memory-group-"));
});
afterEach(() => rm(dir, { recursive: true }));

describe("the memory of the control group", () => {
  test("version 2: use without the cache that can be dropped, limit and kills", async () => {
    await write({
      "memory.current": "3000\n",
      "memory.max": "268435456\n",
      "memory.stat": "anon 100\ninactive_file 1000\n",
      "memory.events": "low 0\noom 4\noom_kill 2\n",
    });
    const group = new MemoryGroup([join(dir, "not-there"), dir]);
    expect(group.read()).toEqual({ used: 2000, limit: 268435456 });
    expect(group.oomKills()).toBe(2);
  });

  test("version 1: the same", async () => {
    await write({
      "memory.usage_in_bytes": "3000\n",
      "memory.limit_in_bytes": "268435456\n",
      "memory.stat": "inactive_file 1\ntotal_inactive_file 500\n",
      "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    });
    const group = new MemoryGroup([dir]);
    expect(group.read()).toEqual({ used: 2500, limit: 268435456 });
    expect(group.oomKills()).toBe(1);
  });

  test.each([
    ["memory.max", "max\n"],
    ["memory.limit_in_bytes", "9223372036854771712\n"],
  ])("%s that says none is no limit", async (file, text) => {
    await write({ [file]: text });
    expect(new MemoryGroup([dir]).read().limit).toBeNull();
  });

  test("where there is no control group, nothing can be told", () => {
    const group = new MemoryGroup([]);
    expect(group.read()).toEqual({ used: null, limit: null });
    expect(group.oomKills()).toBe(0);
  });
});
