import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { statusSchema } from "#contract/manager-api.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { startDockerFleet } from "#tests/support/fleets.ts";

const skipped = await reasonToSkipDocker();

/** A data directory too deep for a Unix socket makes the backend do what it does where the engine is a virtual machine. */
describe.skipIf(skipped)(
  `executors behind ports on loopback${skipped === undefined ? "" : `: skipped, ${skipped}`}`,
  () => {
    let root: string;
    let fleet: RunningManager;

    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), "fleet-deep-"));
      fleet = await startDockerFleet({}, join(root, "deep".repeat(30)));
    });

    afterAll(async () => {
      await fleet[Symbol.asyncDispose]();
      await rm(root, { recursive: true });
    });

    const run = async (ref: number, code: string): Promise<string> => {
      const headers = { "content-type": "text/x-python" };
      const reply = await fetch(`${fleet.url}/session/${ref}/execute`, {
        method: "POST",
        headers,
        body: code,
      });
      return await reply.text();
    };

    test("the status says that and why", async () => {
      const status = statusSchema.parse(await (await fetch(`${fleet.url}/status`)).json());
      expect(status.warnings.join()).toContain("ports on loopback");
      expect(status.executors.map(({ url }) => url)).toEqual(
        status.executors.map(() => expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/)),
      );
    });

    test("sessions run code; user code reaches neither its own executor without the token nor another one", async () => {
      expect(await run(0, "import socket; print(socket.gethostbyname(socket.gethostname()))")).toContain(
        '"ok"',
      );
      const address = /\d+\.\d+\.\d+\.\d+/.exec(
        await run(1, "import socket; socket.gethostbyname(socket.gethostname())"),
      );
      const attempt = (host: string) => `
import urllib.error, urllib.request
try:
    urllib.request.urlopen(urllib.request.Request("http://${host}:8432/restart", method="POST"), timeout=2)
    print("allowed")
except urllib.error.HTTPError as error:
    print("status", error.code)
except OSError:
    print("no way")
`;
      expect(await run(0, attempt("127.0.0.1"))).toContain("status 401");
      expect(await run(0, attempt(address?.[0] ?? ""))).toContain("no way");
    });
  },
);
