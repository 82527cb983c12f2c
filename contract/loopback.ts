const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "localhost"]);

/** Whether only this machine reaches what is served on that host, so that a manager may do without keys. */
export function isLoopback(host: string): boolean {
  return LOOPBACK.has(host);
}
