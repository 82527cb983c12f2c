import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { executeReplySchema } from "#contract/execution.ts";
import type { RunningManager } from "#manager/start-manager.ts";
import { describeAcceptance } from "#tests/support/acceptance.ts";
import { reasonToSkipDocker } from "#tests/support/engine.ts";
import { startDockerFleet } from "#tests/support/fleets.ts";

const skipped = await reasonToSkipDocker();

describe.skipIf(skipped)(`a fleet of containers${skipped ? `: skipped, ${skipped}` : ""}`, () => {
  let fleet: RunningManager;

  beforeAll(async () => {
    fleet = await startDockerFleet();
  });

  afterAll(() => fleet[Symbol.asyncDispose]());

  describeAcceptance(() => fleet);

  const run = async (code: string) => {
    const reply = await fetch(`${fleet.url}/session/0/execute`, {
      method: "POST",
      headers: { "content-type": "text/x-python" },
      body: code,
    });
    return executeReplySchema.parse(await reply.json());
  };

  test("a run over the memory limit ends as oom_killed with the limit named; the next run works", async () => {
    const killed = await run("hoard = bytearray(1024**3)\nhoard[::4096] = b'x' * len(hoard[::4096])");
    expect(killed.outcome).toBe("oom_killed");
    expect(killed.outputs).toMatchObject([
      {
        type: "error",
        name: "KernelDied",
        value: expect.stringContaining("killed by the memory limit (256 MiB)"),
      },
    ]);
    expect(await run("1 + 1")).toMatchObject({ outcome: "ok", kernel: { restarted: true } });
  });

  test("user code is not root, has no network, cannot write the root file system, nor call its own executor", async () => {
    const { outputs } = await run(`
import glob, os, socket

def readable(path):
    try:
        return open(path).read()
    except OSError:
        return ""

def attempt(action):
    try:
        return action()
    except OSError as error:
        return type(error).__name__

def restart_myself():
    with socket.socket(socket.AF_UNIX) as executor:
        executor.connect("/run/executor/executor.sock")
        executor.sendall(b"POST /restart HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 0\\r\\n\\r\\n")
        return executor.recv(100).decode().split()[1]

print("root:", 0 in os.getresuid() + os.getresgid())
print("networks:", [name for _, name in socket.if_nameindex()])
print("root file system:", attempt(lambda: open("/etc/passwd", "a")))
print("tokens:", sum("EXECUTOR_TOKEN" in readable(path) for path in glob.glob("/proc/[0-9]*/environ")))
print("restart:", attempt(restart_myself))
`);
    const text = [
      "root: False",
      "networks: ['lo']",
      "root file system: PermissionError",
      "tokens: 0",
      "restart: PermissionError",
      "",
    ].join("\n");
    expect(outputs).toEqual([{ type: "stream", name: "stdout", text }]);
  });
});
