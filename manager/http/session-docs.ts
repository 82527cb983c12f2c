import { z, type OpenAPIHono } from "@hono/zod-openapi";
import { EVENT_STREAM, executionEventSchema, NDJSON } from "#contract/events.ts";
import { executeReplySchema } from "#contract/execution.ts";
import {
  healthSchema,
  interruptReplySchema,
  readySchema,
  restartReplySchema,
  restartStatusSchema,
} from "#contract/executor-api.ts";
import { autoCreateQuery } from "./auto-create.ts";
import { executeBodySchema } from "./execute-body.ts";
import { failures, OPEN_FAILURES, REF_FAILURES } from "./failures.ts";
import { json, jsonContent, refParams } from "./route-parts.ts";

const code = { schema: z.string().openapi({ description: "The code itself" }) };
const request = { params: refParams, query: autoCreateQuery };
const notThere = [...REF_FAILURES, ...OPEN_FAILURES, "executor_unavailable"] as const;

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
      ...request,
      body: { content: { ...jsonContent(executeBodySchema), "text/plain": code, "text/x-python": code } },
    },
    responses: {
      200: {
        description: "How the run ended and what it printed; the last event of a stream is the outcome",
        content: {
          ...jsonContent(executeReplySchema),
          [NDJSON]: { schema: executionEventSchema },
          [EVENT_STREAM]: { schema: executionEventSchema },
        },
      },
      ...failures(
        ...notThere,
        "malformed_json",
        "unsupported_media_type",
        "not_allocated",
        "queue_full",
        "executor_bad_reply",
      ),
    },
  });
  for (const [method, path, schema, description] of PASSED_THROUGH) {
    registry.registerPath({
      method,
      path: `/session/{ref}${path}`,
      description,
      request,
      responses: { 200: json(schema, description), ...failures(...notThere) },
    });
  }
}
