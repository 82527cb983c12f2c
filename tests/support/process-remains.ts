import type { Remain, RemainsPlace } from "./remain.ts";

/** What goes on running. */
export function processesAndThreads({ scratch, ports: [port] }: RemainsPlace): Remain[] {
  // Looked for many times: one that replaces itself all the time may be missed by a single look.
  const commandSeen = (mark: string) => `
import glob
def command(path):
    try:
        return open(path, "rb").read()
    except OSError:
        return b""
return any(b"${mark}" in command(path) for _ in range(40) for path in glob.glob("/proc/[0-9]*/cmdline"))`;
  /** `command` is the command line without the mark that it is to be known by. */
  const background = (kind: string, name: string, command: (mark: string) => string): Remain => {
    // Tests that run at the same time see each other's processes where there are no containers.
    const mark = `left-${name}-${port}`;
    const leave = `import subprocess, sys\n${command(mark)}`;
    return { kind, leave, seen: commandSeen(mark) };
  };
  const beat = `${scratch}/left-beat`;
  const beatSeen = (file: string) => `
import os, time
if os.path.exists("${file}"):
    os.remove("${file}")
for _ in range(40):
    if os.path.exists("${file}"):
        return True
    time.sleep(0.01)
return False`;
  return [
    background("a process started with nohup", "nohup", (mark) => {
      const quiet = "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL";
      return `subprocess.Popen(["nohup", "sh", "-c", "sleep 4242; :", "${mark}"], ${quiet})`;
    }),
    background(
      "a process that two forks detached",
      "forked",
      (mark) => `subprocess.run(["sh", "-c", "(sh -c 'sleep 4242; :' ${mark} & ) &"])`,
    ),
    background("a process in a session of its own", "session", (mark) => {
      const command = `["setsid", "sh", "-c", "sleep 4242 & sleep 4242; :", "${mark}"]`;
      return `subprocess.Popen(${command}, start_new_session=True)`;
    }),
    background("a daemon that ignores signals", "deaf", (mark) => {
      const script = "trap '' TERM HUP INT; while :; do sleep 0.1; done";
      return `subprocess.Popen(["sh", "-c", "${script}", "${mark}"], start_new_session=True)`;
    }),
    {
      ...background(
        "a process that goes on in a child all the time",
        "reforks",
        (mark) => `
program = """
import os, time
os.setsid()
while True:
    if os.fork():
        os._exit(0)
    time.sleep(0.002)
"""
subprocess.Popen([sys.executable, "-Sc", program, "${mark}"])`,
      ),
      staysInProcesses: true,
    },
    {
      kind: "a thread that goes on writing",
      leave: `
import threading, time
printed = threading.Event()
def write():
    while True:
        print("left late")
        printed.set()
        open("${beat}-thread", "w").close()
        time.sleep(0.005)
threading.Thread(target=write, daemon=True).start()
printed.wait()`,
      seen: beatSeen(`${beat}-thread`),
    },
    {
      kind: "a process that goes on writing",
      leave: `
import subprocess
subprocess.Popen(["setsid", "sh", "-c", "while :; do echo left late; : >${beat}-process; sleep 0.005; done"])`,
      seen: beatSeen(`${beat}-process`),
    },
  ];
}

/** What goes on listening. */
export function sockets({ scratch, ports: [own, inherited] }: RemainsPlace): Remain[] {
  const connects = (family: string, address: string) => `
import socket
with socket.socket(socket.${family}) as client:
    client.settimeout(5)
    return client.connect_ex(${address}) == 0`;
  const listens = (family: string, address: string) => `
import socket
left_socket = socket.socket(socket.${family})
left_socket.bind(${address})
left_socket.listen(64)
left_sockets = [*globals().get("left_sockets", []), left_socket]`;
  return [
    {
      kind: "a TCP server of its kernel",
      leave: listens("AF_INET", `("127.0.0.1", ${own})`),
      seen: connects("AF_INET", `("127.0.0.1", ${own})`),
    },
    {
      kind: "a TCP server of a detached process",
      leave: `${listens("AF_INET", `("127.0.0.1", ${inherited})`)}
import subprocess
subprocess.Popen(["setsid", "sleep", "4242"], pass_fds=[left_socket.fileno()])
left_socket.close()`,
      seen: connects("AF_INET", `("127.0.0.1", ${inherited})`),
    },
    {
      kind: "a Unix socket",
      leave: listens("AF_UNIX", `"${scratch}/left.sock"`),
      seen: connects("AF_UNIX", `"${scratch}/left.sock"`),
    },
    {
      kind: "an abstract Unix socket",
      leave: listens("AF_UNIX", `"\\0left${own}"`),
      seen: connects("AF_UNIX", `"\\0left${own}"`),
    },
  ];
}

/** It belongs to a user and a container, not to a process, and stays when all processes have ended. */
export function sharedMemory({ ports: [key] }: RemainsPlace): Remain[] {
  const CREATE = 0o1600;
  const remain = (kind: string, leave: string, seen: string): Remain => ({
    kind,
    leave: `import ctypes\nassert ctypes.CDLL(None).${leave} >= 0`,
    seen: `import ctypes\nreturn ctypes.CDLL(None).${seen} >= 0`,
    staysInProcesses: true,
  });
  return [
    remain("System V shared memory", `shmget(${key}, 4096, ${CREATE})`, `shmget(${key}, 0, 0)`),
    remain("a System V semaphore", `semget(${key}, 1, ${CREATE})`, `semget(${key}, 0, 0)`),
    remain("a System V message queue", `msgget(${key}, ${CREATE})`, `msgget(${key}, 0)`),
    remain("a POSIX message queue", `mq_open(b"/left", 0o102, 0o600, None)`, `mq_open(b"/left", 0)`),
  ];
}
