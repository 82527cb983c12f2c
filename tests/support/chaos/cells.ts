import { z } from "zod";

/** What a cell prints of the state that it found and left. */
const reportSchema = z.object({
  /** New in every kernel. */
  kernel: z.string(),
  secret: z.string(),
  /** The steps that ran in this kernel. */
  tokens: z.array(z.string()),
  counter: z.number(),
  value: z.string().nullable(),
  /** The process of the container: its host name, and when its first process started. */
  life: z.string(),
  env: z.string().nullable(),
  /** Whose files there are. */
  files: z.array(z.string()),
});
export type Report = z.infer<typeof reportSchema>;

/** The variable that sessions with an environment have. */
export const ENV_NAME = "CHAOS_SECRET";

/** How long a long cell would run. */
const LONG_TURNS = 20;

export interface Cell {
  secret: string;
  token: string;
  /** Set by the cell. */
  value?: string;
  /** Runs for seconds, and says `begun` at once. */
  long?: boolean;
  /** Kills its kernel in the end. */
  suicide?: boolean;
}

/** A cell that counts itself into the session's state, in one step that no interrupt can halve, and prints the state. */
export function codeOf({ secret, token, value, long = false, suicide = false }: Cell): string {
  const text = (of: string) => JSON.stringify(of);
  return `
import glob, json, os, signal, time
${long ? `print("begun", flush=True)\nfor _ in range(${LONG_TURNS}): time.sleep(0.05)` : ""}
if "chaos" not in globals():
    open("/tmp/chaos-" + ${text(secret)}, "w").close()
    chaos = {"kernel": os.urandom(8).hex(), "secret": ${text(secret)}, "tokens": [], "counter": 0, "value": None}
chaos = {**chaos, "tokens": [*chaos["tokens"], ${text(token)}], "counter": chaos["counter"] + 1${
    value === undefined ? "" : `, "value": ${text(value)}`
  }}
${suicide ? "os.kill(os.getpid(), signal.SIGKILL)" : ""}
print(json.dumps({
    **chaos,
    "life": os.uname().nodename + " " + open("/proc/1/stat").read().rsplit(")", 1)[1].split()[19],
    "env": os.environ.get("${ENV_NAME}"),
    "files": [name[len("/tmp/chaos-"):] for name in glob.glob("/tmp/chaos-*")],
}))
`;
}

/** @throws {Error} when the text is not what a cell prints */
export function readReport(text: string): Report {
  return reportSchema.parse(JSON.parse(text.replace(/^begun\n/, "")));
}
