import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Logger } from "pino";
import type { z } from "zod";
import { ServiceError, invalidRequest } from "#contract/errors.ts";
import { streamFormatOf } from "#contract/events.ts";
import { executeRequestSchema, type ExecuteRequest } from "#contract/execution.ts";
import {
  BOOT_ID_HEADER,
  restartRequestSchema,
  type ExitReply,
  type Health,
  type InterruptReply,
  type Ready,
  type RestartReply,
  type RestartRequest,
  type RestartStatus,
  type VerboseHealth,
} from "#contract/executor-api.ts";
import type { Kernel } from "#executor/kernel/kernel.ts";
import type { MemoryGroup } from "#executor/kernel/memory.ts";
import { bearerCheck } from "./bearer-auth.ts";
import type { ExecutionQueue } from "./execution-queue.ts";

export interface AppContext {
  kernel: Kernel;
  executions: ExecutionQueue;
  memory: MemoryGroup;
  bootId: string;
  token: string | undefined;
  /** Somebody called who knows the token. */
  callerSeen: () => void;
  /** Ends the process; undefined where nothing would start it again. */
  exit: (() => void) | undefined;
  maxBodyBytes: number;
  log: Logger;
}

/** Paths that answer without the token: they tell nothing but that the executor is there. */
const OPEN_PATHS = new Set(["/health", "/ready"]);

/** The executor's HTTP API. No route but `/execute` waits for the kernel. */
export function createApp(context: AppContext): Hono {
  const { kernel, executions, memory, bootId, token, callerSeen, exit, maxBodyBytes, log } = context;
  const app = new Hono();

  const knowsToken = token === undefined ? () => true : bearerCheck(token);
  app.use(async (c, next) => {
    const open = OPEN_PATHS.has(c.req.path) && c.req.query("verbose") === undefined;
    if (knowsToken(c.req.header("authorization"))) callerSeen();
    else if (!open) throw new ServiceError("unauthorized", "The executor's token is missing or wrong");
    await next();
  });

  app.get("/health", (c) => {
    const resets: Health["resets"] = exit === undefined ? ["kernel"] : ["kernel", "container"];
    if (c.req.query("verbose") === undefined)
      return c.json<Health>({ status: "ok", boot_id: bootId, resets });
    const { id, name, state, reason, restarts } = kernel;
    const health: VerboseHealth = {
      status: "ok",
      boot_id: bootId,
      resets,
      kernel: { id, name, state, ...(reason === undefined ? {} : { reason }) },
      memory: memory.read(),
      executions: executions.count,
      waiting: executions.waiting,
      restarts,
    };
    return c.json(health);
  });

  app.get("/ready", (c) => {
    const { reason } = kernel;
    return c.json<Ready>(reason === undefined ? { ready: true } : { ready: false, reason });
  });

  app.get("/code-info", (c) => c.json(kernel.codeInfo));

  app.get("/restart-status", (c) => c.json<RestartStatus>({ restarting: kernel.restarting }));

  const tooLarge = () => {
    throw new ServiceError("body_too_large", `The body is larger than ${maxBodyBytes} bytes`);
  };
  const limitBody = bodyLimit({ maxSize: maxBodyBytes, onError: tooLarge });

  app.post("/restart", limitBody, async (c) => {
    const { env } = await readRestartRequest(c);
    const status = kernel.restart(env);
    if (env === undefined) return c.json<RestartReply>({ status });
    // Only a kernel that has ended for good is not restarted, and does not get the variables.
    if (status === "already_restarting") throw new ServiceError("shutting_down", "The executor stops");
    return c.json<RestartReply>({ status, env: Object.keys(env).toSorted() });
  });

  if (exit !== undefined) {
    app.post("/exit", (c) => {
      exit();
      return c.json<ExitReply>({ status: "exiting" });
    });
  }

  app.post("/interrupt", (c) => c.json<InterruptReply>({ status: executions.interrupt() }));

  app.post("/execute", limitBody, async (c) => {
    const meantFor = c.req.header(BOOT_ID_HEADER);
    if (meantFor !== undefined && meantFor !== bootId)
      throw new ServiceError("executor_restarted", `This is process ${bootId}, not ${meantFor}`);
    const request = await readExecuteRequest(c);
    const format = streamFormatOf(c.req.header("accept"));
    const clientGone = c.req.raw.signal;
    if (format === undefined) return c.json(await executions.reply(request, { clientGone }));
    return c.body(executions.stream(request, { format, clientGone }), 200, {
      "Content-Type": format,
      "Cache-Control": "no-store",
      // Proxies would hold events back otherwise.
      "X-Accel-Buffering": "no",
    });
  });

  app.notFound((c) => {
    const known = app.routes.some((route) => route.path === c.req.path && route.method !== "ALL");
    if (!known) throw new ServiceError("not_found", `There is no ${c.req.path} here`);
    throw new ServiceError("method_not_allowed", `${c.req.path} does not take ${c.req.method}`);
  });

  app.onError((error, c) => {
    const known = error instanceof ServiceError ? error : undefined;
    if (known === undefined) log.error({ err: error, path: c.req.path }, "a request failed");
    const reply = known ?? new ServiceError("internal", "Internal error", { cause: error });
    return c.json(reply.toBody(), reply.status);
  });

  return app;
}

async function readExecuteRequest(c: Context): Promise<ExecuteRequest> {
  const type = c.req.header("content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (type.startsWith("text/") && type !== "text/html") {
    return executeRequestSchema.parse({ code: await c.req.text() });
  }
  if (type !== "application/json" && !type.endsWith("+json")) {
    throw new ServiceError("unsupported_media_type", `Cannot read a body of type ${type || "(none)"}`);
  }
  return parseBody(executeRequestSchema, await c.req.text());
}

/** The body may be left out; nothing but JSON can be meant by one, whatever its type is called. */
async function readRestartRequest(c: Context): Promise<RestartRequest> {
  const text = await c.req.text();
  return text === "" ? {} : parseBody(restartRequestSchema, text);
}

function parseBody<T>(schema: z.ZodType<T>, text: string): T {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw new ServiceError("malformed_json", "The body is not JSON", { cause: error });
  }
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw invalidRequest(parsed.error, "body");
  return parsed.data;
}
