import { pino } from "pino";
import { expect, test } from "vitest";
import { executorNumberSchema, newSessionId } from "#contract/ids.ts";
import type { Backend } from "#manager/fleet/backend.ts";
import type { Executor } from "#manager/fleet/executor.ts";
import { Fleet } from "#manager/fleet/fleet.ts";
import { Resetter } from "#manager/fleet/reset.ts";
import { StaticBackend } from "#manager/fleet/static-backend.ts";
import { sendJson, startScriptedExecutor, type ScriptedExecutor } from "#tests/support/scripted-executor.ts";
import { until } from "#tests/support/until.ts";

/** An executor in a container: its process, as it shows itself, is the test's. */
class ContainedExecutor {
  bootId = "first";
  ready = true;
  timesAskedReady = 0;
  readonly #server: ScriptedExecutor;

  private constructor(server: ScriptedExecutor) {
    this.#server = server;
  }

  static async start(onExit: (executor: ContainedExecutor) => void): Promise<ContainedExecutor> {
    const executor: ContainedExecutor = new ContainedExecutor(
      await startScriptedExecutor({
        "/health": (_, reply) => sendJson(reply, { status: "ok", boot_id: executor.bootId }),
        "/ready": (_, reply) => {
          executor.timesAskedReady += 1;
          sendJson(reply, { ready: executor.ready });
        },
        "/exit": (_, reply) => {
          sendJson(reply, { status: "exiting" });
          onExit(executor);
        },
      }),
    );
    return executor;
  }

  get url(): string {
    return this.#server.url;
  }

  get calls(): readonly string[] {
    return this.#server.calls;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
  }
}

/** A fleet of that one executor, held by a session. */
async function fleetOf({ url }: ContainedExecutor): Promise<{ fleet: Fleet; held: Executor }> {
  const fleet = new Fleet(pino({ level: "silent" }));
  fleet.add([{ number: executorNumberSchema.parse(0), type: "python", reset: "container" }]);
  const held = fleet.get(0);
  await held.place({ url });
  held.bootId = "first";
  fleet.changeState(held, { name: "free" });
  fleet.changeState(held, { name: "allocated", sessionId: newSessionId() });
  return { fleet, held };
}

const resetter = (fleet: Fleet, backend: Backend, timeoutMs: number) =>
  new Resetter(fleet, backend, { timeoutMs, stop: new AbortController().signal });
const STATIC = new StaticBackend("not read");
const REASON = { reason: "session deallocated" };

test("an executor whose process does not end, or does not come back, is unhealthy with the reason", async () => {
  await using executor = await ContainedExecutor.start(() => {});
  const { fleet, held } = await fleetOf(executor);
  await using _ = fleet;
  await resetter(fleet, STATIC, 200).reset(held, REASON);
  expect(executor.calls).toEqual(["POST /exit"]);
  expect(held.state).toEqual({
    name: "unhealthy",
    reason: expect.stringMatching(
      "^the reset failed: its container did not come back: the old process still answers",
    ),
  });
});

test("an executor is not free before another process answers, nor before that is ready", async () => {
  const exited = Promise.withResolvers<void>();
  await using executor = await ContainedExecutor.start((one) => {
    one.ready = false;
    exited.resolve();
  });
  const { fleet, held } = await fleetOf(executor);
  await using _ = fleet;
  const reset = resetter(fleet, STATIC, 10_000).reset(held, REASON);
  await exited.promise;
  expect([held.state.name, executor.timesAskedReady]).toEqual(["resetting", 0]);
  executor.bootId = "second";
  await until("the other process is asked again", () => executor.timesAskedReady > 1 || undefined);
  expect(held.state.name).toBe("resetting");
  executor.ready = true;
  await reset;
  expect(held.state).toEqual({ name: "free" });
  expect(held.bootId).toBe("second");
});

test("an executor that cannot be restarted is replaced, and free when its successor is ready", async () => {
  await using executor = await ContainedExecutor.start(() => {});
  const { fleet, held } = await fleetOf(executor);
  await using _ = fleet;
  const done: string[] = [];
  const backend: Backend = {
    name: "docker",
    warnings: [],
    plan: async () => [],
    preview: async () => [],
    start: async () => {},
    stop: async () => {},
    restart: async () => {
      done.push("restart");
      throw new Error("the container cannot be started");
    },
    replace: async () => {
      done.push("replace");
      executor.bootId = "second";
    },
  };
  await resetter(fleet, backend, 10_000).reset(held, REASON);
  expect(done).toEqual(["restart", "replace"]);
  expect(held.state).toEqual({ name: "free" });
  expect(held.bootId).toBe("second");
});
