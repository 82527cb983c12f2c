import { expect, test } from "vitest";
import { FleetClient } from "#client/fleet-client.ts";
import { CliError, usageError } from "#cli/cli-error.ts";
import { lookAtFleet } from "#cli/fleet-look.ts";
import { json, serve, serveTold } from "#tests/support/fake-manager.ts";
import { allWell, SESSION, SINGLETON, type Told } from "#tests/support/manager-replies.ts";

const never = new AbortController().signal;

async function lookAt(told: Told) {
  const url = await serveTold(told);
  return await lookAtFleet(async () => new FleetClient({ url }), never);
}

test("nothing is down in a fleet in which all is well", async () => {
  const { status, connection, list } = allWell();
  const look = await lookAt(allWell());
  expect(look).toEqual({ at: look.at, down: [], status, connection, ...list });
});

test("what is free, allocated, starting or being reset, or needs no engine, is not down", async () => {
  const told = allWell();
  const executors = (["free", "allocated", "starting", "resetting"] as const).map((state, container_id) => ({
    container_id,
    type: "python",
    state,
    reset: "kernel" as const,
    warnings: [],
  }));
  told.status = { ...told.status, executors };
  told.connection = {
    status: "not_connected",
    reason: "none needed",
    backend: "process",
    namespace: "default",
  };
  told.list = { sessions: [{ ...SESSION, state: "opening" }], singletons: [] };
  expect((await lookAt(told)).down).toEqual([]);
});

test.each<[string, (told: Told) => void]>([
  [
    "executor 1 is unhealthy: it ended",
    ({ status }) => Object.assign(status.executors[1] ?? {}, { state: "unhealthy", reason: "it ended" }),
  ],
  [
    "session ses_1 is unreachable: no answer",
    ({ list }) => (list.sessions = [{ ...SESSION, state: "unreachable", reason: "no answer" }]),
  ],
  [
    "session mw@lab of the fleet's config is opening: none is free",
    ({ list }) => (list.singletons = [{ ...SINGLETON, state: "opening", reason: "none is free" }]),
  ],
  [
    "session mw@lab of the fleet's config is ended",
    ({ list }) => (list.singletons = [{ ...SINGLETON, state: "ended" }]),
  ],
  [
    "engine /d.sock: connect ENOENT",
    (told) =>
      (told.connection = {
        status: "error",
        error: "connect ENOENT",
        address: "/d.sock",
        backend: "docker",
        namespace: "default",
      }),
  ],
])("it is down: %s", async (line, harm) => {
  const told = allWell();
  harm(told);
  expect((await lookAt(told)).down).toEqual([line]);
});

test("a manager that is not there, stops, or hangs is down", async () => {
  const gone = await lookAtFleet(async () => {
    throw new CliError("no fleet runs in /x");
  }, never);
  expect(gone.down).toEqual(["manager: no fleet runs in /x"]);

  const stopping = await serve((_, response) =>
    json(response, 503, { detail: "The manager stops", code: "shutting_down" }),
  );
  const stops = await lookAtFleet(async () => new FleetClient({ url: stopping }), never);
  expect(stops.down).toEqual(["manager: The manager stops"]);

  const silent = await serve(() => undefined);
  const hangs = await lookAtFleet(async () => new FleetClient({ url: silent }), never, 50);
  expect(hangs.down).toEqual(["manager: it has not answered within 0.05 s"]);
});

test("a manager that is asked in a wrong way is not down", async () => {
  const refusing = await serve((_, response) =>
    json(response, 401, { detail: "An API key is needed", code: "unauthorized" }),
  );
  const look = lookAtFleet(async () => new FleetClient({ url: refusing }), never);
  await expect(look).rejects.toThrow("An API key is needed");
  const misled = lookAtFleet(async () => {
    throw usageError(["no URL"]);
  }, never);
  await expect(misled).rejects.toThrow("no URL");
});
