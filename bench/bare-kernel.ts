import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMessage } from "@jupyterlab/services/lib/kernel/messages.js";
import { Dealer, Subscriber } from "zeromq";
import { decodeMessage, encodeMessage } from "#executor/kernel/wire-protocol.ts";

const KEY = "bench";

/** A stock ipykernel, called over its bare sockets: what nobody who serves kernels can undercut without changing it. */
export interface BareKernel extends AsyncDisposable {
  /** Runs one cell; resolves when the reply and the idle status are both there. */
  execute(code: string): Promise<void>;
}

/** Starts `python -m ipykernel_launcher` with ZMQ `ipc` sockets and waits until it answers. */
export async function startBareKernel(python: string): Promise<BareKernel> {
  const directory = await mkdtemp(join(tmpdir(), "bare-"));
  const ip = join(directory, "k");
  const ports = { shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 };
  const connection = { transport: "ipc", ip, key: KEY, signature_scheme: "hmac-sha256", ...ports };
  const connectionFile = join(directory, "connection.json");
  await writeFile(connectionFile, JSON.stringify(connection));
  const kernel = spawn(python, ["-m", "ipykernel_launcher", "-f", connectionFile], { stdio: "ignore" });
  const shell = new Dealer({ linger: 0 });
  const iopub = new Subscriber({ linger: 0 });
  shell.connect(`ipc://${ip}-1`);
  iopub.connect(`ipc://${ip}-2`);
  iopub.subscribe();

  const waiting = new Map<string, { replied: boolean; idle: boolean; resolve: () => void }>();
  const receive = async (socket: Dealer | Subscriber, channel: "shell" | "iopub") => {
    for await (const frames of socket) {
      const { header, parent_header, content } = decodeMessage(frames, KEY, channel);
      const run = "msg_id" in parent_header ? waiting.get(parent_header.msg_id) : undefined;
      if (!run) continue;
      if (channel === "shell") run.replied = true;
      if (header.msg_type === "status" && "execution_state" in content && content.execution_state === "idle")
        run.idle = true;
      if (run.replied && run.idle) run.resolve();
    }
  };
  void receive(shell, "shell");
  void receive(iopub, "iopub");

  const execute = async (code: string) => {
    const content = {
      code,
      silent: false,
      store_history: true,
      allow_stdin: false,
      stop_on_error: true,
      user_expressions: {},
    };
    const message = createMessage({
      msgType: "execute_request",
      channel: "shell",
      session: "bench",
      content,
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.set(message.header.msg_id, { replied: false, idle: false, resolve });
    await shell.send(encodeMessage(message, KEY));
    await promise;
    waiting.delete(message.header.msg_id);
  };

  // The first run waits for the kernel. Its idle status may be missed, as the subscription arrives when it does.
  for (let ready = false; !ready;) {
    ready = await Promise.race([
      execute("pass").then(() => true),
      once(AbortSignal.timeout(1_000), "abort").then(() => false),
    ]);
  }
  return {
    execute,
    async [Symbol.asyncDispose]() {
      shell.close();
      iopub.close();
      kernel.kill("SIGKILL");
      await once(kernel, "exit");
      await rm(directory, { recursive: true, force: true });
    },
  };
}
