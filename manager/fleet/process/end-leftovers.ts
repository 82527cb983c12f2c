import { executorDigits } from "#compose/fleet-spec.ts";
import { errorText } from "#contract/errors.ts";
import { endProcess } from "./end-process.ts";
import { ExecutorRecords, type ExecutorRecord } from "./executor-records.ts";
import { isRunning } from "./process-identity.ts";

/**
 * Ends every executor that a manager left running, and removes all that is left of them in its folder.
 *
 * @returns the names of the executors that still ran
 * @throws {Error} that names what is left
 */
export async function endLeftovers(stateDir: string): Promise<string[]> {
  const records = new ExecutorRecords(stateDir);
  const names = await endRecorded(records, await records.list());
  await records.removeOthers([]);
  await records.removeFolder();
  return names;
}

/**
 * Ends these executors and forgets them.
 *
 * @returns the names of those that still ran
 * @throws {Error} that names what is left, which stays recorded
 */
export async function endRecorded(
  records: ExecutorRecords,
  leftovers: readonly ExecutorRecord[],
): Promise<string[]> {
  const left: string[] = [];
  const ended = await Promise.all(
    leftovers.map(async (record) => {
      const name = `executor-${executorDigits(record.number)}`;
      const ran = await isRunning(record);
      try {
        await endProcess(record);
        await records.remove(record);
      } catch (error) {
        left.push(`${name} (${errorText(error)})`);
      }
      return ran ? [name] : [];
    }),
  );
  if (left.length > 0) throw new Error(`executors are left: ${left.toSorted().join(", ")}`);
  return ended.flat().toSorted();
}
