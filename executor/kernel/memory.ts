import { readFileSync } from "node:fs";
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
  readonly #folders: string[];

  /** @param folders where the group's files may be; the first that has a file counts. */
  constructor(folders: string[] = memoryFolders()) {
    this.#folders = folders;
  }

  /** What is in use, without the page cache that can be dropped, and what the limit is. */
  read(): MemoryUse {
    const used = this.#number("memory.current") ?? this.#number("memory.usage_in_bytes");
    const cache =
      this.#field("memory.stat", "total_inactive_file") ?? this.#field("memory.stat", "inactive_file");
    const limit = this.#number("memory.max") ?? this.#number("memory.limit_in_bytes");
    return {
      used: used === null ? null : Math.max(0, used - (cache ?? 0)),
      limit: limit === null || limit >= NO_LIMIT_BYTES ? null : limit,
    };
  }

  /** How many processes of the group were killed so far because memory ran out. */
  oomKills(): number {
    return this.#field("memory.events", "oom_kill") ?? this.#field("memory.oom_control", "oom_kill") ?? 0;
  }

  #number(file: string): number | null {
    const text = this.#read(file)?.trim();
    return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
  }

  #field(file: string, name: string): number | null {
    const match = this.#read(file)?.match(new RegExp(`^${name} (\\d+)$`, "m"));
    return match?.[1] === undefined ? null : Number(match[1]);
  }

  #read(file: string): string | undefined {
    for (const folder of this.#folders) {
      try {
        return readFileSync(join(folder, file), "utf8");
      } catch {
        // Not in this folder: the next one may have it.
      }
    }
    return undefined;
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
