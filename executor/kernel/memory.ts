import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const CGROUP_ROOT = "/sys/fs/cgroup";
/** Limits from here on are the kernel's way to say "none" (cgroup v1). */
const NO_LIMIT_BYTES = 2 ** 60;

/** Memory of the control group that this process runs in. Bytes; `null` where it cannot be told. */
export interface MemoryUse {
  used: number | null;
  limit: number | null;
}

/** Reads memory facts of this process's control group, version 1 or 2. Source: Linux, "Memory Resource Controller". */
export class MemoryGroup {
  readonly #current: string | undefined;
  readonly #max: string | undefined;
  readonly #stat: string | undefined;
  readonly #oom: string | undefined;

  /** @param folders where the group's files may be; the first that has a file counts. */
  constructor(folders: string[] = memoryFolders()) {
    const find = (...names: string[]) =>
      folders.flatMap((folder) => names.map((name) => join(folder, name))).find((file) => existsSync(file));
    this.#current = find("memory.current", "memory.usage_in_bytes");
    this.#max = find("memory.max", "memory.limit_in_bytes");
    this.#stat = find("memory.stat");
    this.#oom = find("memory.events", "memory.oom_control");
  }

  /** What is in use, without the page cache that can be dropped, and what the limit is. */
  read(): MemoryUse {
    const used = numberIn(this.#current);
    const cache = fieldIn(this.#stat, "total_inactive_file") ?? fieldIn(this.#stat, "inactive_file") ?? 0;
    const limit = numberIn(this.#max);
    return {
      used: used === null ? null : Math.max(0, used - cache),
      limit: limit === null || limit >= NO_LIMIT_BYTES ? null : limit,
    };
  }

  /** How many processes of the group were killed so far because memory ran out. */
  oomKills(): number {
    return fieldIn(this.#oom, "oom_kill") ?? 0;
  }
}

function numberIn(file: string | undefined): number | null {
  const text = textOf(file).trim();
  return /^\d+$/.test(text) ? Number(text) : null;
}

function fieldIn(file: string | undefined, name: string): number | null {
  const line = textOf(file)
    .split("\n")
    .find((candidate) => candidate.startsWith(`${name} `));
  return line === undefined ? null : Number(line.slice(name.length + 1));
}

function textOf(file: string | undefined): string {
  try {
    return file === undefined ? "" : readFileSync(file, "utf8");
  } catch {
    // A group that was removed under this process tells nothing any more.
    return "";
  }
}

/**
 * Where the group's files may be. In a container the file system shows the group at its root, whatever path
 * `/proc/self/cgroup` tells.
 */
function memoryFolders(): string[] {
  let groups: string;
  try {
    groups = readFileSync("/proc/self/cgroup", "utf8");
  } catch {
    return [];
  }
  const folders: string[] = [];
  for (const line of groups.split("\n")) {
    const [id, controllers, path] = line.split(":");
    if (path === undefined) continue;
    if (controllers?.split(",").includes("memory")) {
      folders.push(join(CGROUP_ROOT, "memory", path), join(CGROUP_ROOT, "memory"));
    } else if (id === "0") {
      folders.push(join(CGROUP_ROOT, path), CGROUP_ROOT);
    }
  }
  return folders;
}
