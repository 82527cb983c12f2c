import { once } from "node:events";
import { Command } from "commander";
import { destination, pino, type Logger } from "pino";
import { plannedExecutors, type FleetSpec } from "#compose/fleet-spec.ts";
import { sendConsoleTo } from "#manager/console-to-log.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import { startManager, type ManagerSettings, type RunningManager } from "#manager/start-manager.ts";
import { startInBackground } from "./background.ts";
import { chooseBackend, describeChoice, type BackendChoice } from "./choose-backend.ts";
import type { CliContext } from "./cli-context.ts";
import { DataDir } from "./data-dir.ts";
import { assertPortFree, listenError, reachableUrl } from "./listen-address.ts";
import { makeBackend } from "./make-backend.ts";
import { ORPHAN_GRACE_MS } from "./process-fleet.ts";
import { reporter, reportReady } from "./reporter.ts";
import { endBySignal, StopRequested, watchStopRequests } from "./stop-requests.ts";
import { makeSubmissionDirectories } from "./submission-directories.ts";
import { assertTakesUp } from "./takes-up.ts";
import { untilStarted } from "./until-started.ts";
import { upFlagsSchema, withUpFlags, type UpFlags } from "./up-flags.ts";
import { readUpSettings, type UpSettings } from "./up-settings.ts";

/** `fleet up`: starts a fleet and serves it until it is asked to stop. */
export function upCommand(context: CliContext): Command {
  return withUpFlags(new Command("up"))
    .description(
      "Starts a fleet and serves it until Ctrl-C, which leaves nothing behind but detached sessions.",
    )
    .action(async (_options: unknown, command: Command) => {
      const flags = upFlagsSchema.parse(command.optsWithGlobals());
      const dataDir = DataDir.choose(flags.dataDir, context.env);
      const settings = await readUpSettings(flags, context.env, dataDir);
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
  const { signal } = stop;
  await using cleanup = new AsyncDisposableStack();
  cleanup.use(await dataDir.hold());
  cleanup.use(
    watchStopRequests((name, nth) => {
      if (nth > 1) {
        reporter.say(`ended; "${context.commandLine("down")}" ends what it has left`);
        endBySignal(name);
      } else reporter.say("stopping (once more ends it at once)");
      stop.abort(new StopRequested(name));
    }),
  );
  // Whose executors are left behind when this process ends, as far as is known.
  let left = (await dataDir.readState())?.backend;
  cleanup.defer(() => dataDir.leave(left));
  await dataDir.writeState({ pid: process.pid, backend: left });
  await dataDir.rotateLogs();
  await assertPortFree(settings);
  const log = pino(
    { level: logLevel },
    destination({ dest: flags.verbose ? 2 : dataDir.managerLog, sync: true }),
  );
  cleanup.use(sendConsoleTo(log));

  const startedAt = performance.now();
  const choice = await chooseBackend(flags.backend, context.env, signal);
  assertTakesUp(choice, left, context);
  reporter.say(describeChoice(choice));
  if ("waitsFor" in choice)
    reporter.warn("waiting for the engine: start Docker, or use --backend process, which isolates nothing");
  const submissionDirectories = await directoriesOf(spec);
  const { projectDir } = context;
  const secret = await dataDir.secret();
  const plan = { spec, projectDir, dataDir, secret, submissionDirectories, context, reporter, signal };
  const backend = await makeBackend(choice, plan, log);
  // What is made from now on can be found by it, also when this process is killed.
  await dataDir.writeState({ pid: process.pid, backend: choice.name });
  if (choice.name === "process") warnOfUnenforced(flags);
  reporter.say(`starting ${namesOf(spec)}`);
  const manager = await start(settings, backend, log);
  left = choice.name;
  cleanup.defer(async () => {
    const detached = manager.sessions.all.filter(({ terms }) => terms.detached).length;
    await manager[Symbol.asyncDispose]();
    if (detached > 0) reporter.say(describeDetached(detached, choice.name, context));
    else left = undefined;
  });
  const url = reachableUrl(manager.url);
  await dataDir.writeState({ pid: process.pid, backend: choice.name, url });
  await untilStarted(manager, { logDir: dataDir.logDir, reporter, signal });
  for (const warning of backend.warnings) reporter.warn(`warning: ${warning}`);
  reporter.say(`ready after ${((performance.now() - startedAt) / 1000).toFixed(1)} s: ${url}`);
  reporter.say(`try: ${exampleFor(spec, settings, url)}`);
  reportReady();
  if (!signal.aborted) await once(signal, "abort");
}

function describeDetached(count: number, backend: BackendChoice["name"], context: CliContext): string {
  const [what, them] =
    count === 1 ? ["1 detached session stays", "it"] : [`${count} detached sessions stay`, "them"];
  const time = backend === "process" ? ` for ${ORPHAN_GRACE_MS / 1000} s` : "";
  return `${what}${time}: "${context.commandLine("up")}" takes ${them} up again, "${context.commandLine("down")}" ends ${them}`;
}

async function directoriesOf(spec: FleetSpec): Promise<string[] | undefined> {
  if (spec.submissionsDirectory === undefined) return undefined;
  const count = plannedExecutors(spec).length;
  return (await makeSubmissionDirectories(spec.submissionsDirectory, count)).map(({ path }) => path);
}

async function start(settings: ManagerSettings, backend: Backend, log: Logger): Promise<RunningManager> {
  try {
    return await startManager(settings, backend, log);
  } catch (error) {
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
