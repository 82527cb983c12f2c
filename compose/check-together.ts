import { isLoopback } from "#contract/loopback.ts";
import { memoryBytesOf, type Limits, type Network } from "./fleet-spec.ts";
import { formatMemory } from "./parse-limits.ts";
import { totalCount, type TypeCount } from "./parse-types.ts";
import type { Problems } from "./parsed.ts";

/** What of a spec could be read so far: a part with a problem of its own is undefined. */
export interface SpecDraft {
  types: TypeCount[] | undefined;
  network: Network | undefined;
  limits: { [part in keyof Limits]: Limits[part] | undefined };
  gpuIds: (string | null)[] | undefined;
  startPort: number | undefined;
  manager: { port: number | undefined; publish: string | undefined };
  hasApiKeyFile: boolean;
}

/** Adds the problems of settings that are right alone but not together. */
export function checkTogether(draft: SpecDraft, problems: Problems): void {
  const total = draft.types && totalCount(draft.types);
  checkPorts(draft, total, problems);
  checkMemory(draft, problems);
  if (total !== undefined && draft.gpuIds && draft.gpuIds.length !== total)
    problems.add(
      "--gpu-ids",
      `${draft.gpuIds.length} entries for ${total} executors: one each, - for an executor without a GPU`,
    );
  if (draft.manager.publish !== undefined && !isLoopback(draft.manager.publish) && !draft.hasApiKeyFile)
    problems.add(
      "--publish",
      `${draft.manager.publish} would let everybody who reaches it run code here: add --api-key-file, or publish on 127.0.0.1`,
    );
}

function checkPorts(draft: SpecDraft, total: number | undefined, problems: Problems): void {
  const { startPort, network, manager } = draft;
  if (startPort === undefined) return;
  if (network === "none")
    problems.add("--start-port", "needs a network: add --network egress or --network shared");
  if (total === undefined) return;
  const last = startPort + total - 1;
  if (last > 65_535)
    problems.add("--start-port", `the last of ${total} executors would get port ${last}, past 65535`);
  if (manager.port !== undefined && manager.port >= startPort && manager.port <= last)
    problems.add("--start-port", `ports ${startPort} to ${last} include the manager's, ${manager.port}`);
}

function checkMemory(draft: SpecDraft, problems: Problems): void {
  const { memoryReservationBytes: reservation, memoryBytes } = draft.limits;
  if (reservation === undefined || draft.types === undefined) return;
  for (const { type } of draft.types) {
    const memory = memoryBytesOf({ memoryBytes }, type);
    if (reservation > memory)
      problems.add(
        "MEM_RESERVATION",
        `${formatMemory(reservation)} is more than the ${formatMemory(memory)} that a ${type} executor may use`,
      );
  }
}
