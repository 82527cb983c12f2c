import { Hono } from "hono";
import { expect, test } from "vitest";
import { limitBody } from "#manager/http/body-limit.ts";

test("a sender that stalls in a body that is refused does not hold the reply open for longer than its budget", async () => {
  const app = new Hono();
  app.use(limitBody(3, 50));
  let cancelled = false;
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode("more")),
    cancel: () => {
      cancelled = true;
    },
  });
  const reply = await app.request("/", {
    method: "POST",
    headers: { "transfer-encoding": "chunked" },
    body,
    duplex: "half",
  });
  expect(reply.status).toBe(413);
  expect(await reply.json()).toMatchObject({ code: "body_too_large" });
  expect(cancelled).toBe(true);
});
