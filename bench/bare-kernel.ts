import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { createMessage } from "@jupyterlab/services/lib/kernel/messages.js";
import { Dealer, Subscriber } from "zeromq";
import { decodeMessage, encodeMessage } from "#executor/kernel/wire-protocol.ts";

const KEY = "bench";

/** A stock ipykernel, called over its bare sockets: what nobody who serves kernels can undercut without changing it. */
export interface BareKernel extends AsyncDisposable {
  /** Runs one cell; resolves when the reply and the idle status are both there. */
  execute(code: string): Promise<void>;
}

/** How long one attempt to reach the kernel may take, and all of them together. */
const ATTEMPT_MS = 1_000;
const START_LIMIT_MS = 60_000;

/** A run whose reply or idle status has not come yet. */
interface Waiting {
  replied: boolean;
  idle: boolean;
  resolve: () => void;
  reject: (error: unknown) => void;
}

/**
 * Starts `python -m ipykernel_launcher` with ZMQ `ipc` sockets and waits until it answers.
 *
 * @throws {Error} when it ends or does not answer in time; nothing is left behind then.
 */
export async function startBareKernel(python: string): Promise<BareKernel> {
  await using cleanup = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "bare-"));
  cleanup.defer(() => rm(directory, { recursive: true, force: true }));
  const ip = join(directory, "k");
  const ports = { shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 };
  const connection = { transport: "ipc", ip, key: KEY, signature_scheme: "hmac-sha256", ...ports };
  const connectionFile = join(directory, "connection.json");
  await writeFile(connectionFile, JSON.stringify(connection));
  const kernel = spawn(python, ["-m", "ipykernel_launcher", "-f", connectionFile], { stdio: "ignore" });
  await once(kernel, "spawn");
  const exited = once(kernel, "exit");
  cleanup.defer(async () => {
    kernel.kill("SIGKILL");
    await exited;
  });

  const waiting = new Map<string, Waiting>();
  let failure: Error | undefined;
  const fail = (cause: unknown) => {
    failure ??= new Error("the kernel ended, or what it sends cannot be read", { cause });
    for (const run of waiting.values()) run.reject(failure);
  };
  kernel.once("exit", (code, signal) => fail(new Error(`it ended with ${signal ?? `exit code ${code}`}`)));

  const shell = new Dealer({ linger: 0 });
  const iopub = new Subscriber({ linger: 0 });
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
  shell.connect(`ipc://${ip}-1`);
  iopub.connect(`ipc://${ip}-2`);
  iopub.subscribe();
  const receiving = Promise.all([receive(shell, "shell"), receive(iopub, "iopub")]).catch(fail);
  cleanup.defer(async () => {
    shell.close();
    iopub.close();
    await receiving;
  });

  const execute = async (code: string) => {
    if (failure) throw failure;
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
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    waiting.set(message.header.msg_id, { replied: false, idle: false, resolve, reject });
    await shell.send(encodeMessage(message, KEY));
    await promise;
    waiting.delete(message.header.msg_id);
  };

  // The first run waits for the kernel. Its idle status may be missed, as the subscription arrives when it does.
  const deadline = AbortSignal.timeout(START_LIMIT_MS);
  for (let ready = false; !ready;) {
    deadline.throwIfAborted();
    const attempt = execute("pass").then(() => true);
    ready = await Promise.race([attempt, delay(ATTEMPT_MS, false)]);
  }
  const running = cleanup.move();
  return { execute, [Symbol.asyncDispose]: () => running.disposeAsync() };
}
