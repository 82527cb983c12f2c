import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** Answers one request; `body` is the whole request body. */
export type Script = (request: IncomingMessage, reply: ServerResponse, body: Buffer) => void | Promise<void>;

/** An executor whose every answer is the test's, for what no real one can be brought to do. */
export interface ScriptedExecutor extends AsyncDisposable {
  readonly url: string;
  /** Every request but probes, as `POST /restart`, in the order in which they came. */
  readonly calls: string[];
}

/** Starts one on TCP. `scripts` are by path; the paths of the contract that it leaves out are answered well. */
export async function startScriptedExecutor(scripts: Record<string, Script>): Promise<ScriptedExecutor> {
  const all: Record<string, Script> = {
    "/health": (_, reply) => sendJson(reply, { status: "ok" }),
    "/ready": (_, reply) => sendJson(reply, { ready: true }),
    "/restart": (_, reply) => sendJson(reply, { status: "restarting" }),
    "/execute": (_, reply) => sendJson(reply, { outputs: [] }),
    ...scripts,
  };
  const calls: string[] = [];
  const serve = async (request: IncomingMessage, reply: ServerResponse) => {
    const path = request.url?.split("?")[0] ?? "";
    if (path !== "/health" && path !== "/ready" && path !== "/code-info")
      calls.push(`${request.method} ${path}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const script = all[path] ?? all["*"];
    if (script) await script(request, reply, Buffer.concat(chunks));
    else reply.writeHead(404).end();
  };
  const server = createServer((request, reply) => {
    // A client that breaks off its request leaves nothing to answer.
    serve(request, reply).catch(() => reply.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  if (address === null || typeof address === "string") throw new Error("not on TCP");
  return {
    url: `http://127.0.0.1:${address.port}`,
    calls,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Answers with a JSON value. */
export function sendJson(reply: ServerResponse, value: unknown, status = 200): void {
  reply.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}
