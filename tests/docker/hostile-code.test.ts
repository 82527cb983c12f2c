import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { executeReplySchema, type ExecuteReply } from "#contract/execution.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { startDockerFleet } from "#tests/support/fleets.ts";

const skipped = await reasonToSkipDocker();

describe.skipIf(skipped)(
  `hostile code in a container${skipped === undefined ? "" : `: skipped, ${skipped}`}`,
  () => {
    let fleet: RunningManager;

    beforeAll(async () => {
      fleet = await startDockerFleet({ types: [{ type: "python", count: 1 }] });
    });

    afterAll(() => fleet[Symbol.asyncDispose]());

    const run = async (code: string): Promise<ExecuteReply> => {
      const headers = { "content-type": "text/x-python" };
      const reply = await fetch(`${fleet.url}/session/0/execute`, { method: "POST", headers, body: code });
      return executeReplySchema.parse(await reply.json());
    };
    const printed = async (code: string): Promise<string> => {
      const { outputs } = await run(code);
      return outputs
        .map((output) => (output.type === "stream" ? output.text : JSON.stringify(output)))
        .join("");
    };
    const nextTenant = async () => {
      const reply = await fetch(`${fleet.url}/deallocate/0`, { method: "POST" });
      expect(await reply.json()).toEqual({ status: "deallocated", container_id: 0 });
    };

    test("the process that kernels are forked from is out of its reach", async () => {
      expect(
        await printed(`
import os
def attempt(action):
    try:
        action()
    except OSError as error:
        return type(error).__name__
    return "allowed"
print(attempt(lambda: os.kill(os.getppid(), 0)))
print(attempt(lambda: open(f"/proc/{os.getppid()}/mem", "r+b")))
print(attempt(lambda: os.setuid(0)))
print(attempt(lambda: os.listdir("/proc/self/fd")))
`),
      ).toBe("PermissionError\nPermissionError\nPermissionError\nallowed\n");
    });

    test("where its executor listens is closed to it", async () => {
      expect(
        await printed(`
import os
for action in (lambda: os.listdir("/run/executor"), lambda: open("/run/executor/file", "w"), lambda: os.mkdir("/run/executor/executor.sock")):
    try:
        print(action())
    except OSError as error:
        print(type(error).__name__)
`),
      ).toBe("PermissionError\nPermissionError\nPermissionError\n");
    });

    test("a fork bomb ends at its time limit; the executor answers meanwhile, and the next run works", async () => {
      const body = JSON.stringify({ code: "import os\nwhile True:\n    os.fork()", timeout: 3 });
      const headers = { "content-type": "application/json" };
      const bomb = fetch(`${fleet.url}/session/0/execute`, { method: "POST", headers, body });
      expect((await fetch(`${fleet.url}/session/0/health`)).status).toBe(200);
      const { outcome } = executeReplySchema.parse(await (await bomb).json());
      expect(["timed_out", "error", "kernel_died", "oom_killed"]).toContain(outcome);
      await nextTenant();
      expect((await run("1 + 1")).outcome).toBe("ok");
    });

    test("a death by a real-time signal is told as what it was", async () => {
      const { outcome, outputs } = await run("import os; os.kill(os.getpid(), 40)");
      expect(outcome).toBe("kernel_died");
      expect(outputs).toMatchObject([{ name: "KernelDied", value: "The kernel died: signal SIG40" }]);
      expect((await run("1 + 1")).outcome).toBe("ok");
    });
  },
);
