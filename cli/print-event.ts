import type { ExecutionEvent, OutcomeEvent } from "#contract/events.ts";
import type { MimeBundle, Output } from "#contract/outputs.ts";
import { writeOut } from "./reporter.ts";

/** Prints what an event brings as a Python or a shell would: results as text, errors as traces on standard error. */
export async function printEvent(event: ExecutionEvent): Promise<void> {
  switch (event.type) {
    case "output":
      return await printOutput(event.output);
    case "update_display":
      return await writeOut("stdout", `${textOf(event.data)}\n`);
    case "outcome":
      return await printOutcome(event);
    case "started":
    case "clear_output":
    case "keep_alive":
      return;
  }
}

async function printOutput(output: Output): Promise<void> {
  switch (output.type) {
    case "stream":
      return await writeOut(output.name, output.text);
    case "result":
    case "display":
      return await writeOut("stdout", `${textOf(output.data)}\n`);
    case "error": {
      const { name, value, traceback } = output;
      const lines = traceback.length > 0 ? traceback : [value === "" ? name : `${name}: ${value}`];
      return await writeOut("stderr", `${lines.join("\n")}\n`);
    }
  }
}

/** What the outputs do not say by themselves. */
async function printOutcome({ outcome, truncated, kernel }: OutcomeEvent): Promise<void> {
  if (truncated) await writeOut("stderr", "fleet: the output was cut at the output cap\n");
  if (kernel.restarted) await writeOut("stderr", "fleet: the variables of earlier runs are lost\n");
  if (outcome !== "ok" && outcome !== "error") await writeOut("stderr", `fleet: outcome ${outcome}\n`);
}

/** The text of a bundle; what has none is named by its types. */
function textOf(data: MimeBundle): string {
  const text = data["text/plain"];
  return typeof text === "string" ? text : `[${Object.keys(data).join(", ")}]`;
}
