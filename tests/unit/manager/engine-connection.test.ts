import { pino } from "pino";
import { afterEach, expect, test } from "vitest";
import { errorText } from "#contract/errors.ts";
import { EngineConnection } from "#manager/fleet/docker/engine-connection.ts";
import { Engine, type EngineInfo } from "#manager/fleet/docker/engine.ts";

const INFO: EngineInfo = {
  version: "1.2.3",
  operatingSystem: "Linux",
  local: true,
  resources: { cpus: 2, memory: 1024 },
};
const signal = () => AbortSignal.timeout(5_000);

/** An engine that answers, or does not, as a test has it. */
class ScriptedEngine extends Engine {
  isUp = true;
  asked = 0;

  constructor() {
    super({ socketPath: "/nowhere/docker.sock" });
  }

  override async info(): Promise<EngineInfo> {
    this.asked += 1;
    await this.ping();
    return INFO;
  }

  override async ping(): Promise<void> {
    if (!this.isUp) throw new Error("it is down");
  }
}

let connection: EngineConnection;

function connect(engine: ScriptedEngine): EngineConnection {
  return (connection = new EngineConnection(engine, pino({ level: "silent" })));
}

afterEach(async () => {
  await connection.close();
});

test("making one asks nothing of the engine", () => {
  const engine = new ScriptedEngine();
  expect(connect(engine).status).toEqual({ status: "not_connected", reason: "nothing has needed it yet" });
  expect(engine.asked).toBe(0);
});

test("callers at the same time share one attempt, later ones its result, and force makes another", async () => {
  const engine = new ScriptedEngine();
  const shared = connect(engine);
  const infos = await Promise.all(Array.from({ length: 50 }, () => shared.connect({ signal: signal() })));
  expect(new Set(infos)).toEqual(new Set([INFO]));
  expect(engine.asked).toBe(1);
  await shared.connect({ signal: signal() });
  expect(engine.asked).toBe(1);
  await Promise.all([shared.connect({ signal: signal(), force: true }), shared.probe(signal())]);
  expect(engine.asked).toBe(2);
});

test("an attempt that fails says why; healing tells the status that it leads to", async () => {
  const engine = new ScriptedEngine();
  engine.isUp = false;
  const failing = connect(engine);
  await expect(failing.connect({ signal: signal() })).rejects.toThrow("the Docker engine does not answer");
  const address = "/nowhere/docker.sock";
  expect(await failing.heal(signal())).toEqual({ status: "error", error: "it is down", address });
  engine.isUp = true;
  const { resources } = INFO;
  expect(await failing.heal(signal())).toEqual({
    status: "connected",
    address,
    engine_version: "1.2.3",
    resources,
  });
});

test("a caller that gives up leaves the attempt to the others", async () => {
  const engine = new ScriptedEngine();
  const shared = connect(engine);
  const impatient = shared.connect({ signal: AbortSignal.abort(new Error("no time")) });
  const patient = shared.connect({ signal: signal() });
  await expect(impatient).rejects.toThrow("no time");
  expect(await patient).toBe(INFO);
});

test("one that is waited for is watched: what waits on it learns that the engine went, and it heals by itself", async () => {
  const engine = new ScriptedEngine();
  engine.isUp = false;
  const watched = connect(engine);
  const ready = watched.waitReady(signal());
  await expect.poll(() => watched.status.status).toBe("error");
  engine.isUp = true;
  expect(await ready).toBe(INFO);
  const { lostSignal } = watched;
  const seen: string[] = [];
  const stopListening = watched.onChange(({ status }) => seen.push(status));
  engine.isUp = false;
  watched.suspect();
  await expect.poll(() => lostSignal.aborted).toBe(true);
  engine.isUp = true;
  await watched.waitReady(signal());
  expect(watched.lostSignal.aborted).toBe(false);
  expect([...new Set(seen)]).toEqual(["error", "connected"]);
  stopListening();
  await watched.probe(signal());
  expect(seen.at(-1)).toBe("connected");
});

test("one that is closed connects no more, and who waits for it learns that", async () => {
  const engine = new ScriptedEngine();
  engine.isUp = false;
  const closed = connect(engine);
  const refusal = closed.waitReady(signal()).catch(errorText);
  await expect.poll(() => closed.status.status).toBe("error");
  await closed.close();
  expect(await refusal).toBe("the connection to the Docker engine is closed");
  engine.isUp = true;
  await expect(closed.connect({ signal: signal() })).rejects.toThrow("is closed");
  expect(closed.status).toEqual({ status: "not_connected", reason: "it is closed" });
});
