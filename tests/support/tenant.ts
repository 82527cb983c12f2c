import { errorBodySchema } from "#contract/errors.ts";
import { executeReplySchema, type ExecuteReply } from "#contract/execution.ts";
import { sessionSchema, type SessionSpec } from "#contract/manager-api.ts";
import type { Remain } from "./remain.ts";

/** The variable of a session whose value is the tenant's secret. */
export const SESSION_VARIABLE = "LEFT_IN_SESSION";

/** A client with a session of its own, and everything that its runs printed. */
export class Tenant {
  readonly #url: string;
  readonly #session: string;
  readonly #replies: ExecuteReply[] = [];

  private constructor(url: string, session: string) {
    this.#url = url;
    this.#session = session;
  }

  /** Opens a session on the fleet at `url`. */
  static async open(url: string, name: string, spec: SessionSpec = {}): Promise<Tenant> {
    const reply = await fetch(`${url}/session/${name}@remains`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(spec),
    });
    return new Tenant(url, sessionSchema.parse(await reply.json()).session_id);
  }

  get replies(): readonly ExecuteReply[] {
    return this.#replies;
  }

  /** The session as the API shows it. */
  async session() {
    return sessionSchema.parse(await (await fetch(`${this.#url}/session/${this.#session}`)).json());
  }

  async run(code: string): Promise<ExecuteReply> {
    const parsed = executeReplySchema.parse(await (await this.#execute(code)).json());
    this.#replies.push(parsed);
    return parsed;
  }

  /** How a run ends, or why there was none. */
  async ending(code: string): Promise<string> {
    const reply = await this.#execute(code);
    return reply.ok
      ? executeReplySchema.parse(await reply.json()).outcome
      : errorBodySchema.parse(await reply.json()).code;
  }

  /** What the code prints, or the error that it raised. */
  async printed(code: string): Promise<string> {
    const { outputs } = await this.run(code);
    return outputs
      .map((output) => (output.type === "stream" ? output.text : JSON.stringify(output)))
      .join("");
  }

  /** Leaves each kind, and looks whether it is there: what it saw, by kind. */
  async leaveAll(remains: readonly Remain[]): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const { kind, leave, seen } of remains) {
      const { outcome, outputs } = await this.run(leave);
      const left = outcome === "ok" ? await this.#look(seen) : `failed: ${JSON.stringify(outputs)}`;
      found.set(kind, left);
    }
    return found;
  }

  /** Looks for each kind, without leaving anything: what it saw, by kind. */
  async lookForAll(remains: readonly Remain[]): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const { kind, seen } of remains) found.set(kind, await this.#look(seen));
    return found;
  }

  /** Ends the session; resolves with the reply when its executor is clean, or after `wait` seconds. */
  async leave(wait = 60): Promise<unknown> {
    const reply = await fetch(`${this.#url}/deallocate/${this.#session}?wait=${wait}`, { method: "POST" });
    return await reply.json();
  }

  #execute(code: string): Promise<Response> {
    return fetch(`${this.#url}/session/${this.#session}/execute`, {
      method: "POST",
      headers: { "content-type": "text/x-python" },
      body: code,
    });
  }

  /** `there` or `not there`, or what went wrong. */
  async #look(seen: string): Promise<string> {
    const body = seen.trim().replaceAll("\n", "\n    ");
    const code = `def look_for_remains():\n    ${body}\nlook_for_remains()`;
    const { outputs } = await this.run(code);
    const output = outputs.find(({ type }) => type === "result");
    const value = output?.type === "result" ? output.data["text/plain"] : undefined;
    if (value === "True") return "there";
    if (value === "False") return "not there";
    return `failed: ${JSON.stringify(outputs)}`;
  }
}
