import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import type { CliContext } from "./cli-context.ts";
import { CliError } from "./cli-error.ts";
import type { DataDir } from "./data-dir.ts";
import { reporter, reportSchema } from "./reporter.ts";
import { StopRequested, watchStopRequests } from "./stop-requests.ts";

/**
 * Runs the same command in the background and returns when it says that it is ready; what it tells until then is told
 * here, and when it ends instead, its exit code becomes that of this process. Asking this process to stop ends it.
 *
 * @throws {CliError} when a signal ended it
 */
export async function startInBackground(context: CliContext, dataDir: DataDir): Promise<void> {
  await dataDir.make();
  await using log = await open(dataDir.consoleLog, "a");
  const child = spawn(process.execPath, [context.mainFile, ...context.args, "--no-detach"], {
    detached: true,
    stdio: ["ignore", log.fd, log.fd, "ipc"],
  });
  const stop = new AbortController();
  using _watch = watchStopRequests((signal) => {
    stop.abort(new StopRequested(signal));
    child.kill("SIGTERM");
  });
  const ready = new AbortController();
  child.on("message", (message) => {
    const report = reportSchema.parse(message);
    if ("ready" in report) ready.abort();
    else if (report.stream === "stdout") reporter.say(report.line);
    else reporter.warn(report.line);
  });
  const exited = once(child, "exit");
  await Promise.race([once(ready.signal, "abort"), exited]);
  if (!ready.signal.aborted) {
    stop.signal.throwIfAborted();
    const [code, signal] = await exited;
    if (signal !== null) throw new CliError(`the fleet was ended by ${signal}; see ${dataDir.consoleLog}`);
    // It has told why already.
    process.exitCode = code;
    return;
  }
  if (child.connected) child.disconnect();
  child.unref();
  reporter.say(`it runs in the background (pid ${child.pid}); to end it: ${context.commandLine("down")}`);
}
