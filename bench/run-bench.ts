const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Runs a benchmark. Its signal aborts when this process is asked to end, so that the benchmark removes what it has made
 * before the process ends as interrupted.
 */
export async function runBench(bench: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const stop = new AbortController();
  let interruptedBy: NodeJS.Signals | undefined;
  const interrupt = (name: NodeJS.Signals) => {
    interruptedBy ??= name;
    stop.abort(new Error(`interrupted by ${name}`));
  };
  for (const name of SIGNALS) process.on(name, interrupt);
  try {
    await bench(stop.signal);
  } catch (error) {
    // What could not be removed is told also then.
    if (!stop.signal.aborted || error instanceof SuppressedError) throw error;
  } finally {
    for (const name of SIGNALS) process.off(name, interrupt);
  }
  if (interruptedBy !== undefined) process.kill(process.pid, interruptedBy);
}
