import pRetry, { AbortError } from "p-retry";
import { ServiceError } from "#contract/errors.ts";
import { formatSessionName, type SessionName } from "#contract/ids.ts";

/** How long a name that is not there is looked for: its creator may be about to open it. Times in milliseconds. */
export interface LookUpSettings {
  tries: number;
  /** Before the second try; it grows by half with every one. */
  backOffMs: number;
  /** What all waiting takes at most, whatever tries and back-off say. */
  totalMs: number;
}

const BACK_OFF_FACTOR = 1.5;

/** What is known of a name that is not there. */
export interface AbsentName {
  /** Whether a session of that name waits for its executor. */
  opening: boolean;
  lastEnd: { at: number; reason: string } | undefined;
  /** Other namespaces that have a session of that name. */
  elsewhere: readonly string[];
}

/**
 * Looks for what has a name until it is there.
 *
 * @throws {ServiceError} `unknown_session` that tells name, namespace, tries and likely causes; what `find` throws; or
 *   the signal's reason
 */
export async function lookUp<T>(
  name: SessionName,
  {
    find,
    explain,
    settings,
    signal,
  }: {
    find: () => Promise<T | undefined> | T | undefined;
    explain: () => AbsentName;
    settings: LookUpSettings;
    signal: AbortSignal;
  },
): Promise<T> {
  let tries = 0;
  const startedAt = performance.now();
  const attempt = async () => {
    tries += 1;
    let found: T | undefined;
    try {
      found = await find();
    } catch (error) {
      // Anything but absence ends the search.
      throw new AbortError(error instanceof Error ? error : new Error(String(error)));
    }
    if (found === undefined) throw new NotThere();
    return found;
  };
  try {
    return await pRetry(attempt, {
      retries: settings.tries - 1,
      minTimeout: settings.backOffMs,
      factor: BACK_OFF_FACTOR,
      maxRetryTime: settings.totalMs,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof NotThere)) throw error;
    throw absent(name, { tries, ms: Math.round(performance.now() - startedAt), ...explain() });
  }
}

class NotThere extends Error {}

function absent(name: SessionName, known: AbsentName & { tries: number; ms: number }): ServiceError {
  const where = `There is no session "${name.name}" in namespace "${name.namespace}"`;
  const detail = `${where} (${known.tries} tries in ${known.ms} ms). ${causeOf(name, known)}`;
  return new ServiceError("unknown_session", detail);
}

function causeOf(name: SessionName, { opening, lastEnd, elsewhere }: AbsentName): string {
  if (opening) return "It is being opened and waits for a free executor.";
  const places = elsewhere.map((namespace) => formatSessionName({ ...name, namespace })).join(", ");
  const others = elsewhere.length === 0 ? "" : ` Another namespace has one: ${places}.`;
  if (lastEnd === undefined) return `Likely cause: it was never created there.${others}`;
  return `Likely cause: it ended at ${new Date(lastEnd.at).toISOString()}: ${lastEnd.reason}.${others}`;
}
