import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { createAdaptorServer, type ServerType } from "@hono/node-server";
import type { Logger } from "pino";
import type { Backend } from "./fleet/backend.ts";
import { Fleet } from "./fleet/fleet.ts";
import { DEFAULT_PROBE_SETTINGS, probeFleet, type ProbeSettings } from "./fleet/prober.ts";
import { createApp, type AppSettings } from "./http/app.ts";
import type { Manager } from "./manager.ts";
import { Sessions, type SessionSettings } from "./sessions/sessions.ts";

/** Everything a manager is told. Times in milliseconds. */
export interface ManagerSettings extends AppSettings, Omit<SessionSettings, "resetTimeoutMs"> {
  host: string;
  /** 0 takes any free port. */
  port: number;
  /** Clients that may be connected at once; more are refused. */
  maxConnections: number;
  probe?: Partial<ProbeSettings>;
}

/** A manager that serves. Disposing of it stops accepting, ends what runs, and stops the executors. */
export interface RunningManager extends Manager, AsyncDisposable {
  /** Where it listens, such as `http://127.0.0.1:5000`. */
  readonly url: string;
}

const REAP_INTERVAL_MS = 1_000;
const CLOSE_BUDGET_MS = 3_000;
const LAST_REPLIES_BUDGET_MS = 500;
const SWEEP_INTERVAL_MS = 50;

/**
 * Starts the executors and serves the API. Resolves as soon as it listens; executors may still be starting.
 * `signal` gives up a start that takes long, such as the build of an image.
 *
 * @throws {Error} when the backend cannot start or the port is taken; nothing is left behind then.
 */
export async function startManager(
  settings: ManagerSettings,
  backend: Backend,
  log: Logger,
  { signal }: { signal?: AbortSignal } = {},
): Promise<RunningManager> {
  await using cleanup = new AsyncDisposableStack();
  const probeSettings = { ...DEFAULT_PROBE_SETTINGS, ...settings.probe };
  const stop = new AbortController();
  cleanup.use(backend);
  const fleet = cleanup.use(new Fleet(log));
  const sessions = new Sessions(fleet, { ...settings, resetTimeoutMs: probeSettings.resetTimeoutMs });
  const manager: Manager = { backend, fleet, sessions };
  const app = createApp(manager, settings, log);

  const server = createAdaptorServer({ fetch: app.fetch });
  server.maxConnections = settings.maxConnections;
  const url = await listen(server, settings);
  const unused = trackUnused(server);
  cleanup.defer(() => close(server, unused, manager));

  const starting = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  fleet.add(await backend.start((number, reason) => fleet.markLost(number, reason), starting));
  const probing = probeFleet(fleet, backend, probeSettings, stop.signal);
  const reaper = setInterval(() => sessions.reapIdle(Date.now()), REAP_INTERVAL_MS);
  cleanup.defer(async () => {
    stop.abort(new Error("the manager stops"));
    clearInterval(reaper);
    await probing;
  });

  const running = cleanup.move();
  return { ...manager, url, [Symbol.asyncDispose]: () => running.disposeAsync() };
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
  unused: ReadonlySet<Socket>,
  { fleet, sessions }: Manager,
): Promise<void> {
  sessions.refuseWaiting();
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  for (const socket of unused) socket.destroy();
  using timers = new DisposableStack();
  if ("closeAllConnections" in server) {
    // A connection that becomes idle after this moment would otherwise stay until its client leaves.
    timers.use(setInterval(() => server.closeIdleConnections(), SWEEP_INTERVAL_MS));
    timers.use(setTimeout(() => server.closeAllConnections(), CLOSE_BUDGET_MS + LAST_REPLIES_BUDGET_MS));
  }
  timers.use(
    setTimeout(() => {
      for (const { number } of fleet.executors) fleet.markLost(number, "the manager stops");
    }, CLOSE_BUDGET_MS),
  );
  await closed;
}
