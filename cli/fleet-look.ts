import type { FleetClient } from "#client/fleet-client.ts";
import { FleetError } from "#client/fleet-error.ts";
import { formatSessionName } from "#contract/ids.ts";
import { errorText } from "#contract/errors.ts";
import type { Connection, ExecutorStatus, Session, Singleton, Status } from "#contract/manager-api.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";

/** What a fleet looked like at one moment. Without a manager that answers there is no more than what is down. */
export interface FleetLook {
  /** ISO 8601. */
  at: string;
  /** What is not as it should be, a line each. */
  down: string[];
  status?: Status;
  connection?: Connection;
  sessions?: Session[];
  singletons?: Singleton[];
}

const ANSWER_LIMIT_MS = 10_000;

/**
 * Looks at a fleet. That no manager answers is something to be seen, too.
 *
 * @throws {CliError} {@link FleetError} when the fleet cannot be asked at all, as without its key; the signal's reason
 */
export async function lookAtFleet(
  find: () => Promise<FleetClient>,
  stop: AbortSignal,
  answerLimitMs = ANSWER_LIMIT_MS,
): Promise<FleetLook> {
  const at = new Date().toISOString();
  const signal = AbortSignal.any([stop, AbortSignal.timeout(answerLimitMs)]);
  try {
    await using client = await find();
    const [status, connection, { sessions, singletons }] = await Promise.all([
      client.status({ signal }),
      client.connection({ signal }),
      client.sessions({ signal }),
    ]);
    const down = whatIsDown(status, connection, sessions, singletons);
    return { at, down, status, connection, sessions, singletons };
  } catch (error) {
    stop.throwIfAborted();
    if (!meansDown(error, signal)) throw error;
    const reason = signal.aborted ? `it has not answered within ${answerLimitMs / 1000} s` : errorText(error);
    return { at, down: [`manager: ${reason}`] };
  }
}

/** Whether an error says that the manager is down, rather than that it was asked in a wrong way. */
function meansDown(error: unknown, signal: AbortSignal): boolean {
  if (signal.aborted) return true;
  if (error instanceof CliError) return error.exitCode !== EXIT_USAGE;
  return error instanceof FleetError && (error.status === undefined || error.status >= 500);
}

function whatIsDown(
  { executors }: Status,
  connection: Connection,
  sessions: readonly Session[],
  singletons: readonly Singleton[],
): string[] {
  return [
    ...(connection.status === "error" ? [`engine ${connection.address}: ${connection.error}`] : []),
    ...executors.filter(({ state }) => state === "unhealthy").map(nameExecutor),
    ...sessions.filter(({ state }) => state === "unreachable").map(nameSession),
    ...singletons.filter(({ state }) => state !== "open").map(nameSingleton),
  ];
}

function nameExecutor({ container_id, state, reason }: ExecutorStatus): string {
  return withReason(`executor ${container_id} is ${state}`, reason);
}

function nameSession({ session_id, state, reason }: Session): string {
  return withReason(`session ${session_id} is ${state}`, reason);
}

function nameSingleton({ name, namespace, state, reason }: Singleton): string {
  return withReason(
    `session ${formatSessionName({ name, namespace })} of the fleet's config is ${state}`,
    reason,
  );
}

function withReason(what: string, reason: string | undefined): string {
  return reason === undefined ? what : `${what}: ${reason}`;
}
