/** Errors of connecting, to a port or to a Unix socket; at any other the request may have arrived. */
const NEVER_SENT: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Whether a failed request certainly did not reach the other side, so that nothing ran. */
export function wasNeverSent(error: unknown): boolean {
  // What became of each address of a name that has several.
  if (error instanceof AggregateError) return error.errors.every(wasNeverSent);
  return error instanceof Error && "code" in error && NEVER_SENT.has(error.code);
}
