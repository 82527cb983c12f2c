import { once } from "node:events";
import type { Command } from "commander";
import { destination, pino, type Logger } from "pino";
import { plannedExecutors, type FleetSpec } from "#compose/fleet-spec.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import { startManager, type ManagerSettings, type RunningManager } from "#manager/start-manager.ts";
import { startInBackground } from "./background.ts";
import { chooseBackend } from "./choose-backend.ts";
import type { CliContext } from "./cli-context.ts";
import { sendConsoleTo } from "#manager/console-to-log.ts";
import { DataDir } from "./data-dir.ts";
import { assertPortFree, listenError, reachableUrl } from "./listen-address.ts";
import { reporter, reportReady } from "./reporter.ts";
import { endBySignal, StopRequested, watchStopRequests } from "./stop-requests.ts";
import { makeSubmissionDirectories } from "./submission-directories.ts";
import { untilStarted } from "./until-started.ts";
import { describeUp, upFlagsSchema, type UpFlags } from "./up-flags.ts";
import { readUpSettings, type UpSettings } from "./up-settings.ts";

/** `fleet up`: starts a fleet and serves it until it is asked to stop. */
export function upCommand(context: CliContext): Command {
  return describeUp().action(async (_options: unknown, command: Command) => {
    const flags = upFlagsSchema.parse(command.optsWithGlobals());
    const dataDir = DataDir.choose(flags.dataDir, context.env);
    const settings = await readUpSettings(flags, context.env, dataDir.fleetName);
    if (flags.detach) await startInBackground(context, dataDir);
    else await serveFleet(flags, settings, dataDir, context);
  });
}

async function serveFleet(
  flags: UpFlags,
  { spec, manager: settings, logLevel }: UpSettings,
  dataDir: DataDir,
  context: CliContext,
): Promise<void> {
  const stop = new AbortController();
  await using cleanup = new AsyncDisposableStack();
  cleanup.use(await dataDir.hold());
  cleanup.use(
    watchStopRequests((signal, nth) => {
      if (nth > 1) endBySignal(signal);
      else reporter.say("stopping (once more ends it at once)");
      stop.abort(new StopRequested(signal));
    }),
  );
  cleanup.defer(() => dataDir.removeState());
  await dataDir.writeState({ pid: process.pid });
  await dataDir.rotateLogs();
  await assertPortFree(settings);
  const log = pino(
    { level: logLevel },
    destination({ dest: flags.verbose ? 2 : dataDir.managerLog, sync: true }),
  );
  cleanup.use(sendConsoleTo(log));

  const startedAt = performance.now();
  const submissionDirectories = await directoriesOf(spec);
  const { projectDir } = context;
  const { signal } = stop;
  const plan = { spec, projectDir, dataDir, submissionDirectories, context, reporter, signal };
  const backend = await chooseBackend(flags.backend, plan, log);
  // What is made from now on can be found by it, also when this process is killed.
  await dataDir.writeState({ pid: process.pid, backend: backend.name });
  if (backend.name === "process") warnOfUnenforced(flags);
  reporter.say(`starting ${namesOf(spec)}`);
  const manager = cleanup.use(await start(settings, backend, { log, signal }));
  const url = reachableUrl(manager.url);
  await dataDir.writeState({ pid: process.pid, backend: backend.name, url });
  for (const warning of backend.warnings) reporter.warn(`warning: ${warning}`);
  await untilStarted(manager, { logDir: dataDir.logDir, reporter, signal });
  reporter.say(`ready after ${((performance.now() - startedAt) / 1000).toFixed(1)} s: ${url}`);
  reporter.say(`try: ${exampleFor(spec, settings, url)}`);
  reportReady();
  if (!signal.aborted) await once(signal, "abort");
}

async function directoriesOf(spec: FleetSpec): Promise<string[] | undefined> {
  if (spec.submissionsDirectory === undefined) return undefined;
  const count = plannedExecutors(spec).length;
  return (await makeSubmissionDirectories(spec.submissionsDirectory, count)).map(({ path }) => path);
}

async function start(
  settings: ManagerSettings,
  backend: Backend,
  { log, signal }: { log: Logger; signal: AbortSignal },
): Promise<RunningManager> {
  try {
    return await startManager(settings, backend, log, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw listenError(error, settings) ?? error;
  }
}

/** Limits are what containers have; a process gets none of them. */
function warnOfUnenforced({ memory, cpus, pids }: UpFlags): void {
  const unenforced = Object.entries({ memory, cpus, pids }).filter(([, value]) => value !== undefined);
  if (unenforced.length === 0) return;
  const names = unenforced.map(([name]) => `--${name}`).join(", ");
  reporter.warn(`warning: ${names}: not enforced for executors that run as processes`);
}

function namesOf({ types }: FleetSpec): string {
  return types.map(({ type, count }) => `${count} ${type} executor${count === 1 ? "" : "s"}`).join(", ");
}

function exampleFor({ types }: FleetSpec, settings: ManagerSettings, url: string): string {
  const { apiKeys, allocation } = settings;
  const code = types[0]?.type === "typescript" ? "console.log(6 * 7)" : "print(6 * 7)";
  const key = apiKeys.length === 0 ? "" : ' -H "Authorization: Bearer $FLEET_API_KEY"';
  if (allocation === "strict") return `curl -X POST ${url}/allocate${key}`;
  const body = JSON.stringify({ code });
  return `curl -X POST ${url}/session/0/execute${key} -H 'Content-Type: application/json' -d '${body}'`;
}
