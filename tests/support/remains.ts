import { files, startupFiles } from "./file-remains.ts";
import { inTheInterpreter, inTheProcess } from "./kernel-remains.ts";
import { processesAndThreads, sharedMemory, sockets } from "./process-remains.ts";
import type { Remain, RemainsPlace } from "./remain.ts";
import { SESSION_VARIABLE } from "./tenant.ts";

/** Every kind, in the order in which A leaves them. The last ones would be in the way of others. */
export function remains(place: RemainsPlace): Remain[] {
  return [
    ...inTheInterpreter(place),
    ...inTheProcess(),
    ...processesAndThreads(place),
    ...sockets(place),
    ...sharedMemory(place),
    ...files(),
    ...startupFiles(),
    memory(),
    shutFolder(),
  ];
}

/** A's secret is the value of a variable of its session, and by that in this code's process and in those it started. */
function memory(): Remain {
  return {
    kind: "its secrets, in the memory, environment or command line of any process",
    leave: `
import os, subprocess
left_secret = os.environ["${SESSION_VARIABLE}"]
subprocess.Popen(["setsid", "sh", "-c", "sleep 4242; :", left_secret])`,
    seen: `
import glob, re
def readable(folder):
    for name in ("cmdline", "environ"):
        try:
            yield open(f"{folder}/{name}", "rb").read()
        except OSError:
            pass
    try:
        regions = open(f"{folder}/maps").readlines()
        memory = open(f"{folder}/mem", "rb", 0)
    except OSError:
        return
    for region in regions:
        span, mode, *_ = region.split()
        start, end = (int(address, 16) for address in span.split("-"))
        for at in range(start, end, 1 << 20) if mode.startswith("rw") else ():
            try:
                memory.seek(max(start, at - 64))
                yield memory.read(min(end, at + (1 << 20)) - memory.tell())
            except OSError:
                pass
secret = re.compile(rb"remain[s]-secret-[0-9a-f]{32}")
return any(secret.search(data) for folder in glob.glob("/proc/[0-9]*") for data in readable(folder))`,
    staysInProcesses: true,
  };
}

/** Whoever has the folder may open it again, and finds what was in it. */
function shutFolder(): Remain {
  return {
    kind: "files in its working directory, after it shut that",
    leave: `
import os, pathlib
pathlib.Path("/workspace/shut-left").write_text("tenant A")
os.chmod("/workspace", 0)`,
    seen: `
import os
shut = os.stat("/workspace").st_mode & 0o777 == 0
os.chmod("/workspace", 0o770)
left = "shut-left" in os.listdir("/workspace")
if shut:
    os.chmod("/workspace", 0)
return shut or left`,
    staysInProcesses: true,
  };
}
