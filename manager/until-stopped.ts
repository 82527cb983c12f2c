/**
 * Resolves with the name of the first signal that asks this process to stop. Further ones are not heard, so that the
 * stop comes to its end; who has no patience kills.
 */
export function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, resolve);
  });
}
