import type { ChaosResult, ChaosSettings } from "./run-chaos.ts";

/** A run as a document. `date` is when it ended. */
export function chaosReport(settings: ChaosSettings, result: ChaosResult, date: Date): string {
  const { seed, operations, clients, executors, reset } = settings;
  const { journal } = result;
  const minutes = Math.floor(result.seconds / 60);
  return `# Chaos report

Made by \`npm run chaos -- --operations ${operations} --seed ${seed} --reset ${reset} --report docs/chaos-report.md\`.

${table(
  ["", ""],
  [
    ["date", date.toISOString().slice(0, 10)],
    ["seed", String(seed)],
    ["operations of clients", String(result.operations)],
    [
      "quiet moments, at which everything was held against what clients were told",
      String(result.batches + 1),
    ],
    ["set-up", `${clients} clients, ${executors} Python executors in containers, reset: ${reset}`],
    ["time", `${minutes} min ${Math.round(result.seconds - minutes * 60)} s`],
    ["result", "no promise was broken"],
  ],
)}
## What was killed

"Missed" hit nothing, such as a container that was down already.

${table(
  ["what", "times", "missed"],
  journal.counts("acts").map(([what, times]) => [what, String(times), String(missed(result, what))]),
)}
Beside that, clients had ${journal.counts("steps").find(([step]) => step === "kernel suicide")?.[1] ?? 0} times their kernel kill itself.

## What clients did

${counted("step", journal.counts("steps"))}
## What they were told

\`broken\`: the connection broke, which happens only when the manager is killed or the client hangs up itself.

${counted("answer", journal.counts("answers"))}
How executions ended, of those whose connection lived:

${counted("outcome", journal.counts("outcomes"))}
## Sessions

${counted("opened", journal.counts("opened"))}
${counted("ended, with the reason of the 410", journal.counts("ends"))}
## What was held against it

At every quiet moment and in the end, after one more kill of the manager:

- every session that a client was told of is there on its executor, or answered with 410 and a reason that something
  really done explains; one that was lost has another process in its container, one that is there the same;
- its variables are as last acknowledged; a step that was not acknowledged happened once or not at all, and none that
  had not happened at a quiet moment happened later; a kernel that lost its state says so;
- no executor has two sessions, no id is given out twice, an id that ended is answered with 410 and the same reason;
- the status adds up, and one running container for each executor is all that carries the fleet's label;
- every execution whose connection lived got exactly one outcome, of those that what was done explains;
- no cell sees a variable, a file or an environment of another session.
`;
}

function missed({ journal }: ChaosResult, act: string): number {
  return journal.counts("missed").find(([what]) => what === act)?.[1] ?? 0;
}

function counted(what: string, counts: readonly [what: string, times: number][]): string {
  return table(
    [what, "times"],
    counts.map(([of, times]) => [of, String(times)]),
  );
}

/** A table as Prettier sets it. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) =>
    Math.max(3, ...[head, ...rows].map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => (cells[column] ?? "").padEnd(width)).join(" | ")} |\n`;
  return line(head) + line(widths.map((width) => "-".repeat(width))) + rows.map(line).join("");
}
