import { errorBodySchema } from "#contract/errors.ts";
import {
  sessionListSchema,
  sessionSchema,
  statusSchema,
  type EnsureSession,
  type Session,
  type SessionList,
  type Status,
} from "#contract/manager-api.ts";
import { until } from "./until.ts";

export interface CallOptions {
  json?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** The sessions of a manager as a client with nothing but HTTP sees them. */
export class SessionApi {
  readonly url: string;

  constructor(url: string) {
    this.url = url;
  }

  call(method: string, path: string, { json, headers = {}, signal }: CallOptions = {}): Promise<Response> {
    return fetch(this.url + path, {
      method,
      headers: { ...(json === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      ...(signal ? { signal } : {}),
    });
  }

  put(name: string, spec: EnsureSession = {}, signal?: AbortSignal): Promise<Response> {
    return this.call("PUT", `/session/${name}`, { json: spec, ...(signal ? { signal } : {}) });
  }

  /** Opens a session or finds it; fails when it is refused. */
  async ensure(name: string, spec: EnsureSession = {}): Promise<Session> {
    return sessionSchema.parse(await (await this.put(name, spec)).json());
  }

  async show(ref: string): Promise<Session> {
    return sessionSchema.parse(await (await this.call("GET", `/session/${ref}`)).json());
  }

  async list(query = ""): Promise<SessionList> {
    return sessionListSchema.parse(await (await this.call("GET", `/sessions${query}`)).json());
  }

  async status(): Promise<Status> {
    return statusSchema.parse(await (await this.call("GET", "/status")).json());
  }

  /** Runs code and returns the text of the reply. */
  async run(ref: string | number, code: string): Promise<string> {
    return (await this.call("POST", `/session/${ref}/execute`, { json: { code } })).text();
  }

  /** Why a call is refused, as `status code: detail`. */
  async refusal(calling: Promise<Response>): Promise<string> {
    const reply = await calling;
    const { code, detail } = errorBodySchema.parse(await reply.json());
    const text = typeof detail === "string" ? detail : detail.map(({ msg }) => msg).join("; ");
    return `${reply.status} ${code}: ${text}`;
  }

  /** Waits until so many executors are free. */
  untilFree(count: number): Promise<Status> {
    return until(`${count} executors are free`, async () => {
      const status = await this.status();
      return status.available_containers === count ? status : undefined;
    });
  }

  untilWaiting(count: number): Promise<Status> {
    return until(`${count} clients wait for an executor`, async () => {
      const status = await this.status();
      return status.waiting_allocations === count ? status : undefined;
    });
  }
}
