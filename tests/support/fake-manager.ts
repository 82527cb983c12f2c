import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { onTestFinished } from "vitest";
import { FleetClient } from "#client/fleet-client.ts";
import { FleetError } from "#client/fleet-error.ts";
import type { Told } from "./manager-replies.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** Serves one handler on loopback until the test ends. */
export async function serve(handler: Handler): Promise<string> {
  const server = createServer(handler).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  return `http://127.0.0.1:${address.port}`;
}

/** Serves what a manager tells of its fleet, as it is at the time of the request. */
export async function serveTold(told: Told): Promise<string> {
  return await serve((request, response) => {
    const replies = new Map<string | undefined, unknown>([
      ["/status", told.status],
      ["/connection", told.connection],
      ["/sessions", told.list],
    ]);
    json(response, 200, replies.get(request.url));
  });
}

/** A client that is closed when the test ends. */
export function clientOf(url: string, apiKey?: string): FleetClient {
  const client = new FleetClient({ url, apiKey });
  onTestFinished(() => client[Symbol.asyncDispose]());
  return client;
}

export function json(response: ServerResponse, status: number, body: unknown, headers = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** The error that a call fails with. */
export async function failureOf(call: Promise<unknown>): Promise<FleetError> {
  const error: unknown = await call.then(
    () => new Error("the call did not fail"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof FleetError)) throw error;
  return error;
}
