import { readdir, readFile } from "node:fs/promises";

/**
 * Proportional set size of a process and all its descendants, in bytes: memory that several processes share is
 * counted once. Linux only. Source: proc_pid_smaps_rollup(5).
 */
export async function memoryOfTree(pid: number): Promise<number> {
  const children = await childrenByParent();
  const pids = [pid];
  for (const parent of pids) pids.push(...(children.get(parent) ?? []));
  const sizes = await Promise.all(pids.map(proportionalSetSize));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The processes whose parent a process is, in no order. */
export async function childrenOf(pid: number): Promise<number[]> {
  return (await childrenByParent()).get(pid) ?? [];
}

async function childrenByParent(): Promise<Map<number, number[]>> {
  const children = new Map<number, number[]>();
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, "utf8").catch(() => "");
    // The name in parentheses may hold spaces; the parent is the second field behind it.
    const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
  }
  return children;
}

async function proportionalSetSize(pid: number): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, "utf8").catch(() => "");
  return Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
}
