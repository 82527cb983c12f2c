import { invalid, quoted, valid, type Parsed } from "./parsed.ts";

/** A device number, or the id that `nvidia-smi -L` prints. */
const GPU_ID = /^(?:\d+|(?:GPU|MIG)-[A-Za-z0-9/-]+)$/;

/** Reads `0,1,-,-`: the GPU of each executor in turn, `-` (here null) for none. No GPU is given twice. */
export function parseGpuIds(text: string): Parsed<(string | null)[]> {
  const seen = new Set<string>();
  const problems: string[] = [];
  const ids = text.split(",").map((part) => {
    const id = part.trim();
    if (id === "-") return null;
    if (!GPU_ID.test(id))
      problems.push(`${quoted(id)} is not a GPU id (a number, a GPU-… id, or - for none)`);
    else if (seen.has(id)) problems.push(`GPU ${id} is given twice`);
    seen.add(id);
    return id;
  });
  return problems.length > 0 ? invalid(...problems) : valid(ids);
}
