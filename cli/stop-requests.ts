const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A Ctrl-C comes from the terminal and, under `npm start`, a moment later once more from npm. */
const SAME_REQUEST_MS = 500;

/** Exit codes of programs that a signal ended: 128 and its number. */
const EXIT_CODES: Readonly<Record<string, number>> = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 };

/** The reason of an abort that the user asked for. */
export class StopRequested extends Error {
  override readonly name = "StopRequested";
  readonly exitCode: number;

  constructor(signal: NodeJS.Signals) {
    super(`stopped by ${signal}`);
    this.exitCode = EXIT_CODES[signal] ?? 130;
  }
}

/**
 * Calls `onRequest` whenever the user asks this process to stop, with the number of the request from 1. Until it is
 * disposed of, the signals do not end the process by themselves.
 */
export function watchStopRequests(onRequest: (signal: NodeJS.Signals, nth: number) => void): Disposable {
  let count = 0;
  let last = Number.NEGATIVE_INFINITY;
  const handle = (signal: NodeJS.Signals) => {
    const now = performance.now();
    if (now - last < SAME_REQUEST_MS) return;
    last = now;
    onRequest(signal, ++count);
  };
  for (const signal of STOP_SIGNALS) process.on(signal, handle);
  return {
    [Symbol.dispose]: () => {
      for (const signal of STOP_SIGNALS) process.off(signal, handle);
    },
  };
}

/** Ends this process by the signal itself, as if it had never been caught. */
export function endBySignal(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
