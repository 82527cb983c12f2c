import { once } from "node:events";
import { createServer } from "node:net";
import { CliError } from "./cli-error.ts";

/** Where a server is to listen. */
export interface ListenAddress {
  host: string;
  port: number;
}

/**
 * Finds out before the long part of a start whether the port can be had.
 *
 * @throws {CliError} that says why not
 */
export async function assertPortFree(address: ListenAddress): Promise<void> {
  const server = createServer();
  try {
    server.listen(address.port, address.host);
    await once(server, "listening");
    server.close();
    await once(server, "close");
  } catch (error) {
    throw listenError(error, address) ?? error;
  }
}

/** The error of listening in words; undefined for any other error. */
export function listenError(error: unknown, { host, port }: ListenAddress): CliError | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return new CliError(
        `port ${port} of ${host} is taken: ${whoHolds(port)} tells by whom; choose another one with --port`,
        { cause: error },
      );
    case "EACCES":
      return new CliError(`this user may not listen on port ${port}: choose one above 1023 with --port`, {
        cause: error,
      });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new CliError(`${host} is no address of this machine: choose another one with --host`, {
        cause: error,
      });
    default:
      return undefined;
  }
}

function whoHolds(port: number): string {
  return process.platform === "linux"
    ? `"ss -ltnp sport = :${port}"`
    : `"lsof -nP -iTCP:${port} -sTCP:LISTEN"`;
}

/** The URL by which this machine reaches a server that may listen on every address. */
export function reachableUrl(url: string): string {
  const reachable = new URL(url);
  if (reachable.hostname === "0.0.0.0") reachable.hostname = "127.0.0.1";
  if (reachable.hostname === "[::]") reachable.hostname = "[::1]";
  return reachable.origin;
}
