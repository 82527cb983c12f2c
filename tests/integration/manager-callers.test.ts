import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTestFleet, startTestManager, type TestFleet } from "#tests/support/manager.ts";
import { until } from "#tests/support/until.ts";

let fleet: TestFleet;

beforeAll(async () => {
  fleet = await startTestFleet(["python"], { allowedHosts: ["fleet.example"] });
});
afterAll(() => fleet[Symbol.asyncDispose]());

/** What a browser or a program sends, header by header. Resolves to the whole reply. */
async function send(url: string, headers: Record<string, string>, body = "print('ran')"): Promise<string> {
  const { host, port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  const lines = Object.entries({
    Host: host,
    "Content-Type": "text/plain",
    "Content-Length": String(body.length),
    Connection: "close",
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`POST /session/0/execute HTTP/1.1\r\n${lines.join("")}\r\n${body}`);
  return text(socket);
}

describe("without keys", () => {
  test.each([
    [
      "a page of another site",
      { Origin: "https://evil.example", "Sec-Fetch-Site": "cross-site" },
      "foreign_origin",
    ],
    ["a form of another site, in an old browser", { Origin: "https://evil.example" }, "foreign_origin"],
    ["a page of another port of this machine", { Origin: "http://localhost:3000" }, "foreign_origin"],
    ["a page in a sandbox", { Origin: "null" }, "foreign_origin"],
    ["an image of another site", { "Sec-Fetch-Site": "cross-site" }, "foreign_origin"],
    [
      "a page that rebound its name to us",
      { Host: "evil.example", Origin: "http://evil.example" },
      "foreign_host",
    ],
    ["the same, from an old browser", { Host: "evil.example:5000" }, "foreign_host"],
  ])("%s cannot run code: 403, and nothing ran", async (_, headers, code) => {
    const reply = await send(fleet.url, headers);
    expect(reply).toMatch(/^HTTP\/1\.1 403 /);
    expect(reply).toContain(`"code":"${code}","hint":`);
    expect(await fleet.status()).toMatchObject({ allocated_containers: 0 });
  });

  test.each([
    ["curl", {}],
    ["a name that was allowed", { Host: "fleet.example" }],
    [
      "a page of our own",
      { Host: "localhost:5000", Origin: "http://localhost:5000", "Sec-Fetch-Site": "same-origin" },
    ],
  ])("%s can", async (_, headers) => {
    const reply = await send(fleet.url, headers);
    expect(reply).toMatch(/^HTTP\/1\.1 200 /);
    expect(reply).toContain("ran");
    await fleet.post("/deallocate/0");
  });
});

test("with keys nothing runs without one: 401, and how to send it", async () => {
  const config = { 0: { url: fleet.executor(0).url, type: "python" } };
  await using manager = await startTestManager(config, { apiKeys: ["key-1"] });
  for (const headers of [{}, { "X-API-Key": "key-2" }, { Authorization: "Bearer key-2" }]) {
    const reply = await send(manager.url, headers);
    expect(reply).toMatch(/^HTTP\/1\.1 401 /);
    expect(reply).toContain('"hint":"Send the key as Authorization: Bearer KEY or X-API-Key."');
  }
  for (const headers of [{ "X-API-Key": "key-1" }, { Authorization: "Bearer key-1" }])
    expect(await send(manager.url, headers)).toMatch(/^HTTP\/1\.1 200 /);
});

test("more connections than are allowed are cut off, and there is room again when one has ended", async () => {
  await using small = await startTestManager(
    { 0: { url: fleet.executor(0).url, type: "python" } },
    { maxConnections: 1 },
  );
  const port = Number(new URL(small.url).port);
  const first = connect(port, "127.0.0.1");
  await once(first, "connect");
  const second = connect(port, "127.0.0.1").resume();
  await once(second, "close");
  first.destroy();
  const health = await until("there is room again", () =>
    fetch(`${small.url}/health`).catch(() => undefined),
  );
  expect(health.status).toBe(200);
});
