import type { FleetClient } from "#client/fleet-client.ts";
import { errorText } from "#contract/errors.ts";
import { EXIT_CODE_OF_OUTCOME } from "./exit-code.ts";
import { printEvent } from "./print-event.ts";
import { reporter } from "./reporter.ts";
import { endBySignal, StopRequested, watchStopRequests } from "./stop-requests.ts";

const RESET_WAIT_S = 5;
/** A manager that hangs keeps nobody waiting: it ends sessions that nobody uses by itself. */
const END_SESSION_LIMIT_MS = 10_000;

/** Code to run, and where. Times in seconds. */
export interface CodeToRun {
  code: string;
  /** A session that is kept; without one a new session is opened, which ends with the run. */
  session: string | undefined;
  type: string;
  timeout: number | undefined;
  wait: number | undefined;
}

/**
 * Runs code, prints what it prints as it comes, and resolves to the exit code. Ctrl-C interrupts the run, which then
 * comes to its own end; a second one, or any other signal, gives it up. From the third on they end this process at once.
 *
 * @throws {FleetError} when nothing ran or the connection was lost; {@link StopRequested}
 */
export async function runCode(client: FleetClient, run: CodeToRun): Promise<number> {
  const stop = new AbortController();
  const { signal } = stop;
  let ref = run.session;
  using _watch = watchStopRequests((name, nth) => {
    if (nth > 2) return endBySignal(name);
    const giveUp = () => stop.abort(new StopRequested(name));
    if (name !== "SIGINT" || nth > 1 || ref === undefined) return giveUp();
    // Where nothing runs, because the run waits for its turn, there is nothing to wait for.
    client
      .interrupt(ref, { signal })
      .then(({ status }) => (status === "idle" ? giveUp() : undefined), giveUp);
  });
  if (ref === undefined) {
    const { type, wait } = run;
    ref = (await client.allocate({ type, ...(wait === undefined ? {} : { wait }), signal })).session_id;
  }
  try {
    for await (const event of client.stream(ref, { code: run.code, timeout: run.timeout }, { signal })) {
      await printEvent(event);
      if (event.type === "outcome") return EXIT_CODE_OF_OUTCOME[event.outcome];
    }
    throw new Error("an event stream ended without an outcome");
  } finally {
    if (run.session === undefined) await endSession(client, ref);
  }
}

/** Waits for a clean executor, so that the next command finds it free; what became of the run counts more. */
async function endSession(client: FleetClient, ref: string): Promise<void> {
  try {
    await client.deallocate(ref, {
      wait: RESET_WAIT_S,
      signal: AbortSignal.timeout(END_SESSION_LIMIT_MS),
    });
  } catch (error) {
    reporter.warn(`warning: session ${ref} could not be ended: ${errorText(error)}`);
  }
}
