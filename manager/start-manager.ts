import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { createAdaptorServer, type ServerType } from "@hono/node-server";
import type { Logger } from "pino";
import type { Backend } from "./fleet/backend.ts";
import { Fleet } from "./fleet/fleet.ts";
import { DEFAULT_PROBE_SETTINGS, probeFleet, type ProbeSettings } from "./fleet/prober.ts";
import { Resetter } from "./fleet/reset.ts";
import { createApp, type AppSettings } from "./http/app.ts";
import type { Manager } from "./manager.ts";
import { SessionResolver, type ResolverSettings } from "./sessions/session-resolver.ts";
import { SessionStore } from "./sessions/session-store.ts";
import { Sessions, type SessionSettings } from "./sessions/sessions.ts";
import { Singletons, type WantedSession } from "./sessions/singletons.ts";
import { openDatabase } from "./store/database.ts";

/** Everything a manager is told. Times in milliseconds. */
export interface ManagerSettings extends AppSettings, SessionSettings, ResolverSettings {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** Clients that may be connected at once; more are refused. */
  maxConnections: number;
  /** Folder for what has to outlive the manager; without one nothing does. */
  dataDir?: string;
  /** Named sessions that are opened at the start, if they are not there. */
  bootstrap: readonly WantedSession[];
  probe?: Partial<ProbeSettings>;
  /** Milliseconds since the epoch; the machine's clock where it is left out. */
  now?: () => number;
}

/**
 * A manager that serves. Disposing of it stops accepting, ends what runs, and stops the executors but those of detached
 * sessions.
 */
export interface RunningManager extends Manager, AsyncDisposable {
  /** Where it listens, such as `http://127.0.0.1:5000`. */
  readonly url: string;
  /** Resolves when every executor has its place; rejects when the fleet cannot be started. */
  readonly started: Promise<void>;
}

const REAP_INTERVAL_MS = 1_000;
const CLOSE_BUDGET_MS = 3_000;
const LAST_REPLIES_BUDGET_MS = 500;
const SWEEP_INTERVAL_MS = 50;

/**
 * Takes up what an earlier manager left and serves the API. Resolves as soon as it listens: until executors have
 * started, what can be answered without them is.
 *
 * @throws {Error} when there can be no fleet, the data directory is another manager's, or the port is taken
 */
export async function startManager(
  settings: ManagerSettings,
  backend: Backend,
  log: Logger,
): Promise<RunningManager> {
  await using cleanup = new AsyncDisposableStack();
  const probeSettings = { ...DEFAULT_PROBE_SETTINGS, ...settings.probe };
  const stop = new AbortController();
  const database = openDatabase(settings.dataDir);
  cleanup.defer(() => database.close());
  const store = new SessionStore(database);
  const fleet = cleanup.use(new Fleet(log));
  fleet.add(await backend.plan());
  const resetter = new Resetter(fleet, backend, {
    timeoutMs: probeSettings.resetTimeoutMs,
    stop: stop.signal,
  });
  const sessions = new Sessions(
    { fleet, store, resetter, log, ...(settings.now ? { now: settings.now } : {}) },
    settings,
  );
  const resolver = new SessionResolver(sessions, store, settings);
  const singletons = new Singletons(settings.bootstrap, { sessions, resolver, store, log });
  sessions.restore();
  const ending = new AbortController();
  const manager: Manager = {
    backend,
    fleet,
    sessions,
    resolver,
    singletons,
    stopping: stop.signal,
    ending: ending.signal,
  };

  const server = createAdaptorServer({ fetch: createApp(manager, settings, log).fetch });
  server.maxConnections = settings.maxConnections;
  const url = await listen(server, settings);
  const unused = trackUnused(server);
  const started = backend.start(
    {
      placed: (number, endpoint) => void fleet.get(number).place(endpoint),
      waiting: (number, reason) => fleet.explainStart(number, reason),
      replaced: (number, reason) => fleet.tellReplaced(number, reason),
      lost: (number, loss) => fleet.tellLoss(number, loss),
    },
    stop.signal,
  );
  // Who starts the manager waits for it; its failure must not end this process before.
  started.catch((error: unknown) => {
    if (!stop.signal.aborted) log.error({ err: error }, "the fleet could not be started");
  });
  const probing = probeFleet({ fleet, backend, resetter, settings: probeSettings }, stop.signal);
  const bootstrapping = singletons.ensure(stop.signal);
  const reaper = setInterval(() => sessions.reap(), REAP_INTERVAL_MS);
  cleanup.defer(async () => {
    clearInterval(reaper);
    const closing = close(server, { unused, sessions, ending });
    stop.abort(new Error("the manager stops"));
    await Promise.allSettled([closing, probing, bootstrapping, started]);
    await backend.stop(new Set(sessions.close().map((session) => session.executorNumber)));
  });

  const running = cleanup.move();
  return { ...manager, url, started, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

async function listen(
  server: ReturnType<typeof createAdaptorServer>,
  { host, port }: ManagerSettings,
): Promise<string> {
  server.listen(port, host);
  await once(server, "listening");
  const address = server.address();
  const { port: actual } = isAddress(address) ? address : { port };
  return `http://${host.includes(":") ? `[${host}]` : host}:${actual}`;
}

function isAddress(address: string | AddressInfo | null): address is AddressInfo {
  return typeof address === "object" && address !== null;
}

/** The connections that have not brought a request yet: browsers open some in advance. Node counts them as busy. */
function trackUnused(server: ServerType): ReadonlySet<Socket> {
  const unused = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    unused.add(socket);
    socket.once("close", () => unused.delete(socket));
  });
  server.on("request", (request: IncomingMessage) => unused.delete(request.socket));
  return unused;
}

/**
 * Stops accepting and lets what runs end within the budget; what does not is ended with an outcome, which its client
 * gets. Nothing is left that could keep the process from ending.
 */
async function close(
  server: ServerType,
  { unused, sessions, ending }: { unused: ReadonlySet<Socket>; sessions: Sessions; ending: AbortController },
): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  sessions.refuseWaiting();
  for (const socket of unused) socket.destroy();
  using timers = new DisposableStack();
  if ("closeAllConnections" in server) {
    // A connection that becomes idle after this moment would otherwise stay until its client leaves.
    timers.use(setInterval(() => server.closeIdleConnections(), SWEEP_INTERVAL_MS));
    timers.use(setTimeout(() => server.closeAllConnections(), CLOSE_BUDGET_MS + LAST_REPLIES_BUDGET_MS));
  }
  timers.use(setTimeout(() => ending.abort(new Error("the manager stops")), CLOSE_BUDGET_MS));
  await closed;
}
