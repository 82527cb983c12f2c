import { Pool } from "undici";
import { executeReplySchema } from "#contract/execution.ts";
import { allocationSchema, deallocationSchema, statusSchema, type Status } from "#contract/manager-api.ts";

/** How long an executor may take to be free again. */
const RESET_LIMIT_S = 120;

/** Keep-alive connections to a manager with next to nothing on top, since the manager is what is measured. */
export class ManagerCalls implements AsyncDisposable {
  readonly #pool: Pool;
  readonly #signal: AbortSignal;

  /** The signal breaks off every request. */
  constructor(url: string, signal: AbortSignal) {
    this.#pool = new Pool(url, { headersTimeout: 0, bodyTimeout: 0 });
    this.#signal = signal;
  }

  /** The text of a reply. @throws {Error} when its status is not 200; or the signal's reason */
  async call(method: "GET" | "POST", path: string, body?: unknown): Promise<string> {
    const reply = await this.#pool.request({
      method,
      path,
      headers: { "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
      signal: this.#signal,
    });
    const text = await reply.body.text();
    if (reply.statusCode !== 200) throw new Error(`${method} ${path}: status ${reply.statusCode}: ${text}`);
    return text;
  }

  async status(): Promise<Status> {
    return statusSchema.parse(JSON.parse(await this.call("GET", "/status")));
  }

  /** Opens a session and tells its id. */
  async allocate(): Promise<string> {
    return allocationSchema.parse(JSON.parse(await this.call("POST", "/allocate"))).session_id;
  }

  /** Ends a session and waits until its executor is free again. @throws {Error} when it does not become so */
  async deallocate(sessionId: string): Promise<void> {
    const text = await this.call("POST", `/deallocate/${sessionId}?wait=${RESET_LIMIT_S}`);
    if (deallocationSchema.parse(JSON.parse(text)).resetting)
      throw new Error(`the executor of session ${sessionId} did not become free again`);
  }

  /** Runs code whatever comes of it: the reply is not looked at, so that no time goes into that. */
  async execute(ref: number | string, code: string): Promise<void> {
    await this.call("POST", `/session/${ref}/execute`, { code });
  }

  /** What an expression evaluates to, as text. */
  async evaluate(ref: string, code: string): Promise<unknown> {
    const reply = executeReplySchema.parse(
      JSON.parse(await this.call("POST", `/session/${ref}/execute`, { code })),
    );
    const result = reply.outputs.find((output) => output.type === "result");
    return result?.data["text/plain"] ?? `${reply.outcome}: ${JSON.stringify(reply.outputs)}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }
}
