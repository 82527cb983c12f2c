import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** One process, told from a later one that was given the same id. */
export interface ProcessIdentity {
  pid: number;
  /** When it was started, in words that no two processes of that id share. */
  startTime: string;
}

/** The process that runs under that id; undefined when none does. One that its parent has not collected yet has ended. */
export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const startTime = process.platform === "linux" ? await startTimeOnLinux(pid) : await startTimeByPs(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

/** Whether that very process still runs. */
export async function isRunning({ pid, startTime }: ProcessIdentity): Promise<boolean> {
  return (await identify(pid))?.startTime === startTime;
}

/** Clock ticks since the machine was booted, and which boot that was. Source: proc(5), /proc/pid/stat, field 22. */
async function startTimeOnLinux(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  // The name of the program before it may hold anything, parentheses and spaces included.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = fields[18];
  if (ticks === undefined || state === "Z" || state === "X") return undefined;
  const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => "");
  return `${ticks} ${boot.trim()}`;
}

/** What every Unix tells, to the second. */
async function startTimeByPs(pid: number): Promise<string | undefined> {
  const env = { LC_ALL: "C", TZ: "UTC" };
  const columns = ["-o", "stat=", "-o", "lstart=", "-p", String(pid)];
  // It fails where there is no such process.
  const { stdout } = await run("/bin/ps", columns, { env }).catch(() => ({ stdout: "" }));
  const [state = "", ...date] = stdout.trim().split(/\s+/);
  return state === "" || state.startsWith("Z") ? undefined : date.join(" ");
}
