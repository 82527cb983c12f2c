import { once } from "node:events";
import { createServer, type Server } from "node:net";
import type { SessionEnv } from "#contract/executor-api.ts";

/**
 * Offers the variables of a session to one kernel on a Unix socket: whoever connects first gets them as JSON, and the
 * socket goes. Unlike a file it holds nothing, so that however this process ends, no value is on a disk.
 *
 * @returns the socket, to be closed when the kernel that it is for has ended.
 * @throws {Error} when there can be no socket at `path`.
 */
export async function offerEnvironment(path: string, variables: SessionEnv): Promise<Server> {
  const server = createServer((connection) => {
    server.close();
    // A kernel that ends while it reads is noticed by its end.
    connection.on("error", () => {});
    connection.end(JSON.stringify(variables));
  });
  server.listen(path);
  await once(server, "listening");
  // One that cannot be accepted is turned away: it ends instead of waiting for ever.
  server.on("error", () => server.close());
  return server;
}
