/**
 * A longer run of the chaos test, for hand: `npm run chaos -- --operations 5000 --seed 7`. A seed brings back the same
 * steps and the same kills after the same steps; how they meet in time is the machine's.
 */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { chaosReport } from "#tests/support/chaos/chaos-report.ts";
import { runChaos, type ChaosSettings } from "#tests/support/chaos/run-chaos.ts";

const { values } = parseArgs({
  options: {
    operations: { type: "string", default: "1000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    reset: { type: "string", default: "container" },
    report: { type: "string" },
  },
});
const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => stop.abort(new Error(`ended by ${name}`)));
const say = (line: string) => process.stdout.write(`${line}\n`);

const settings: ChaosSettings = {
  seed: Number(values.seed),
  operations: Number(values.operations),
  clients: 5,
  executors: 4,
  reset: values.reset === "kernel" ? "kernel" : "container",
  signal: stop.signal,
  onQuiet: (operations) => say(`${new Date().toISOString()} ${operations} operations: all is well`),
};
say(`seed ${settings.seed}`);
const result = await runChaos(settings);
const report = chaosReport(settings, result, new Date());
if (values.report === undefined) say(report);
else await writeFile(values.report, report);
