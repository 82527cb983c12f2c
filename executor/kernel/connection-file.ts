import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";

/** Contents of a Jupyter connection file. Source: Jupyter client, "Connection files". */
export interface ConnectionInfo {
  transport: "ipc" | "tcp";
  /** An address for tcp; for ipc the path that the port numbers are appended to. */
  ip: string;
  shell_port: number;
  iopub_port: number;
  stdin_port: number;
  control_port: number;
  hb_port: number;
  key: string;
  signature_scheme: "hmac-sha256";
  kernel_name: string;
}

const CHANNELS = 5;
/** Room in `sockaddr_un.sun_path`; macOS has 104. Longer paths fail deep inside ZMQ without a word. */
const MAX_SOCKET_PATH = 103;

/**
 * Makes the connection info for one kernel with sockets in `dir`, and writes it there.
 *
 * @returns the info and the path of the written file.
 * @throws {Error} when `dir` is too long for a Unix socket.
 */
export async function writeConnectionFile(
  dir: string,
  transport: ConnectionInfo["transport"],
  kernelName: string,
): Promise<{ info: ConnectionInfo; file: string }> {
  const ip = transport === "ipc" ? join(dir, "k") : "127.0.0.1";
  if (transport === "ipc" && Buffer.byteLength(`${ip}-${CHANNELS}`) > MAX_SOCKET_PATH) {
    throw new Error(`The path ${dir} is too long for Unix sockets: set TMPDIR to a shorter one`);
  }
  const [shell = 0, iopub = 0, stdin = 0, control = 0, heartbeat = 0] =
    transport === "ipc" ? [1, 2, 3, 4, 5] : await freePorts(CHANNELS);
  const info: ConnectionInfo = {
    transport,
    ip,
    shell_port: shell,
    iopub_port: iopub,
    stdin_port: stdin,
    control_port: control,
    hb_port: heartbeat,
    key: randomBytes(32).toString("hex"),
    signature_scheme: "hmac-sha256",
    kernel_name: kernelName,
  };
  const file = join(dir, "connection.json");
  await writeFile(file, JSON.stringify(info), { mode: 0o640 });
  return { info, file };
}

/** ZMQ endpoint of one channel. */
export function endpoint(info: ConnectionInfo, channel: "shell" | "iopub" | "control"): string {
  const separator = info.transport === "ipc" ? "-" : ":";
  return `${info.transport}://${info.ip}${separator}${info[`${channel}_port`]}`;
}

/** Ports of the loopback interface that nothing listened on a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once("error", reject);
          server.listen(0, "127.0.0.1", () => {
            const address = server.address();
            if (address !== null && typeof address === "object") resolve(address.port);
            else reject(new Error("No free port on the loopback interface"));
          });
        }),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
