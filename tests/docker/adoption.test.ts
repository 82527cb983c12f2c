import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { expect, test } from "vitest";
import { sessionSchema } from "#contract/manager-api.ts";
import type { DockerBackendSettings } from "#manager/fleet/docker/docker-backend.ts";
import { Engine } from "#manager/fleet/docker/engine.ts";
import { FLEET_LABEL } from "#manager/fleet/docker/plan.ts";
import { removeFleet } from "#manager/fleet/docker/remove-fleet.ts";
import { startManager, type RunningManager } from "#manager/start-manager.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { dockerBackend } from "#tests/support/fleets.ts";
import { testSettings } from "#tests/support/manager.ts";
import { until } from "#tests/support/until.ts";

const skipped = await reasonToSkipDocker();
const DETACHED = "/session/kept@lab";

test.skipIf(skipped)(
  "a detached session keeps its container and its variables over a manager's restart",
  async () => {
    const name = `test-adopted-${process.pid}`;
    const dataDir = await mkdtemp(join(tmpdir(), "fleet-adopted-"));
    const containerIds = async () =>
      (await new Engine().containersWithLabels({ [FLEET_LABEL]: name })).map(({ id }) => id);
    try {
      {
        await using manager = await start(name, dataDir);
        const session = sessionSchema.parse(await (await put(manager)).json());
        expect(session).toMatchObject({ detached: true, state: "open" });
        expect(await run(manager, "x = 42")).toMatchObject({ outcome: "ok" });
        expect(await containerIds()).toHaveLength(2);
      }
      const kept = await containerIds();
      expect(kept).toHaveLength(1);
      {
        await using manager = await start(name, dataDir);
        expect(await run(manager, "x")).toMatchObject({ outputs: [{ data: { "text/plain": "42" } }] });
        expect((await put(manager)).status).toBe(200);
        expect(await containerIds()).toEqual(expect.arrayContaining(kept));
        expect((await fetch(manager.url + DETACHED, { method: "DELETE" })).status).toBe(200);
      }
      expect(await containerIds()).toEqual([]);
    } finally {
      await removeFleet(new Engine(), name);
      await rm(dataDir, { recursive: true });
    }
  },
);

test.skipIf(skipped)(
  "a detached session whose container does not fit the fleet any more has ended, and says so",
  async () => {
    const name = `test-replaced-${process.pid}`;
    const dataDir = await mkdtemp(join(tmpdir(), "fleet-replaced-"));
    try {
      let session_id: string;
      {
        await using manager = await start(name, dataDir);
        ({ session_id } = sessionSchema.parse(await (await put(manager)).json()));
      }
      await using manager = await start(name, dataDir, { environment: { ANOTHER: "setting" } });
      const refusal = await until("it has ended", async () => {
        const reply = await fetch(`${manager.url}/session/${session_id}`);
        return reply.status === 410 ? await reply.text() : undefined;
      });
      expect(refusal).toContain("executor lost: its container was replaced: it was made with other settings");
    } finally {
      await removeFleet(new Engine(), name);
      await rm(dataDir, { recursive: true });
    }
  },
);

async function start(
  name: string,
  dataDir: string,
  spec: Partial<DockerBackendSettings["spec"]> = {},
): Promise<RunningManager> {
  const manager = await startManager(
    { ...testSettings(), idleTimeoutMs: 600_000, dataDir },
    dockerBackend(dataDir, { name, types: [{ type: "python", count: 2 }], ...spec }),
    pino({ level: "silent" }),
  );
  await manager.started;
  return manager;
}

async function put({ url }: RunningManager): Promise<Response> {
  const headers = { "content-type": "application/json" };
  return await fetch(url + DETACHED, { method: "PUT", headers, body: '{"detached":true}' });
}

async function run({ url }: RunningManager, code: string): Promise<unknown> {
  const headers = { "content-type": "text/x-python" };
  const reply = await fetch(`${url}${DETACHED}/execute`, { method: "POST", headers, body: code });
  return await reply.json();
}
