import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import { EVENT_STREAM } from "#contract/events.ts";
import { fleetEventSchema, type FleetEvent } from "#contract/manager-api.ts";
import { executorStatus } from "#manager/fleet/status.ts";
import type { Manager } from "#manager/manager.ts";
import type { AppEnv } from "./app-env.ts";
import { describeSession } from "./describe-session.ts";
import { failures } from "./failures.ts";
import { newRoutes } from "./route-parts.ts";

/** Built-in clients give up after minutes of silence. */
const KEEP_ALIVE_MS = 10_000;
/** A reader that is further behind than this is let go of, instead of keeping all of it in memory. */
const MAX_BEHIND = 1_000;

const eventsRoute = createRoute({
  method: "get",
  path: "/events",
  responses: {
    200: {
      description: "Executors, sessions and executions as they change state, until the client leaves",
      content: { [EVENT_STREAM]: { schema: fleetEventSchema } },
    },
    ...failures(),
  },
});

/** `/events`. */
export function eventRoutes(manager: Manager): OpenAPIHono<AppEnv> {
  const app = newRoutes();
  app.openapi(eventsRoute, () => {
    const headers = { "content-type": EVENT_STREAM, "cache-control": "no-store", "x-accel-buffering": "no" };
    return new Response(streamOf(manager), { headers });
  });
  return app;
}

function streamOf(manager: Manager): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const attached = new DisposableStack();
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const write = (text: string) => {
          if ((controller.desiredSize ?? 0) > -MAX_BEHIND) return controller.enqueue(encoder.encode(text));
          attached.dispose();
          controller.error(new Error("the reader is too far behind"));
        };
        // The head of the reply goes out with the first bytes, so that a client knows that it is attached.
        write(": attached\n\n");
        attached.use(
          follow(manager, (event) => write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)),
        );
        attached.use(setInterval(() => write(": keep-alive\n\n"), KEEP_ALIVE_MS));
        const end = () => {
          attached.dispose();
          controller.close();
        };
        // A stream without an end would hold up the stop.
        manager.stopping.addEventListener("abort", end);
        attached.defer(() => manager.stopping.removeEventListener("abort", end));
        if (manager.stopping.aborted) end();
      },
      cancel() {
        attached.dispose();
      },
    },
    { highWaterMark: 1 },
  );
}

/** Tells every change from now on, until the handle is disposed of. */
function follow({ fleet, sessions }: Manager, tell: (event: FleetEvent) => void): Disposable {
  const attached = new DisposableStack();
  attached.use(fleet.onChange((executor) => tell({ type: "executor", executor: executorStatus(executor) })));
  attached.use(
    sessions.onChange((session, execution) => {
      if (!execution) return tell({ type: "session", session: describeSession(session) });
      const { id: execution_id, state } = execution;
      const outcome = state.name === "ended" ? { outcome: state.outcome } : {};
      tell({
        type: "execution",
        execution: { execution_id, session_id: session.id, state: state.name, ...outcome },
      });
    }),
  );
  return attached;
}
