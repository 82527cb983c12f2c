import { z, type OpenAPIHono } from "@hono/zod-openapi";
import { errorBodySchema } from "#contract/errors.ts";
import { EVENT_STREAM, executionEventSchema, NDJSON } from "#contract/events.ts";
import { executeReplySchema, executeRequestSchema } from "#contract/execution.ts";
import {
  healthSchema,
  interruptReplySchema,
  readySchema,
  restartReplySchema,
  restartStatusSchema,
} from "#contract/executor-api.ts";

const code = { schema: z.string().openapi({ description: "The code itself" }) };
const params = z.object({ ref: z.string().openapi({ description: "Executor number or session id" }) });
const json = (schema: z.ZodType) => ({ "application/json": { schema } });
const failures = Object.fromEntries(
  [404, 410, 503].map((status) => [
    status,
    { description: "See the error code", content: json(errorBodySchema) },
  ]),
);

/** What passes through to the executor, by its path there. */
const PASSED_THROUGH = [
  ["get", "/health", healthSchema, "The executor lives"],
  ["get", "/ready", readySchema, "Whether its kernel can run code"],
  ["get", "/restart-status", restartStatusSchema, "Whether its kernel is being restarted"],
  ["post", "/restart", restartReplySchema, "Clears all state and loads the mounted code again"],
  ["post", "/interrupt", interruptReplySchema, "Interrupts the running cell; state is kept"],
] as const;

/** Describes the routes under `/session/{ref}/` for `/openapi.json`; they pass bodies through unparsed. */
export function describeSessionRoutes(registry: OpenAPIHono["openAPIRegistry"]): void {
  registry.registerPath({
    method: "post",
    path: "/session/{ref}/execute",
    description: "Runs code. Errors of the code are outputs, never HTTP errors.",
    request: {
      params,
      body: {
        content: {
          ...json(executeRequestSchema),
          "text/plain": code,
          "text/x-python": code,
        },
      },
    },
    responses: {
      200: {
        description: "How the run ended and what it printed; the last event of a stream is the outcome",
        content: {
          ...json(executeReplySchema),
          [NDJSON]: { schema: executionEventSchema },
          [EVENT_STREAM]: { schema: executionEventSchema },
        },
      },
      422: { description: "Invalid request", content: json(errorBodySchema) },
      429: { description: "Too many executions wait", content: json(errorBodySchema) },
      ...failures,
    },
  });
  for (const [method, path, schema, description] of PASSED_THROUGH) {
    registry.registerPath({
      method,
      path: `/session/{ref}${path}`,
      description,
      request: { params },
      responses: { 200: { description, content: json(schema) }, ...failures },
    });
  }
}
