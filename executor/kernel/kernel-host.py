"""Forks Python kernels out of a process that has imported everything already: a start takes a tenth of the time, and
kernels share the memory of their libraries.

Commands are JSON lines on standard input, reports are JSON lines on descriptor 3:

    {"start": {"id", "connection_file", "environment_socket", "working_dir", "max_text_length",
               "user": {"uid", "gid"} or null}}
        -> {"started": {"id", "pid"}} and, when the kernel has ended, {"exited": {"id", "code", "signal"}};
        or {"refused": {"id", "error"}}

With a user the kernels are that user's, and the host is the server's: out of reach for the code that it forks kernels
for. When standard input ends, every kernel is killed and the host ends. Nothing here may start a thread, a ZMQ context or an
event loop: they do not survive a fork.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time

REPORT_FD = 3
# What every kernel imports while it starts, or at its first error.
USED_BY_ALL = (
    "faulthandler",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "pygments.formatters.terminal256",
    "stack_data",
    "tornado.platform.asyncio",
)
SWEEP_BUDGET_S = 0.5
SWEEP_PAUSE_S = 0.005
LOWEST_PRIORITY = 19
PR_SET_DUMPABLE = 4
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def report(**message):
    os.write(REPORT_FD, (json.dumps(message) + "\n").encode())


class KernelHost:
    def __init__(self):
        self.kernels = {}  # pid -> id
        self.wake_read, self.wake_write = os.pipe()
        os.set_blocking(self.wake_write, False)
        os.set_blocking(self.wake_read, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_write, warn_on_full_buffer=False)
        # A terminal's Ctrl-C is the server's business.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self):
        """Serves until standard input ends; in a forked child, returns the command that it was forked for."""
        pending = b""
        while True:
            readable, _, _ = select.select([0, self.wake_read], [], [])
            if self.wake_read in readable:
                os.read(self.wake_read, 512)
                self.reap()
            if 0 not in readable:
                continue
            data = os.read(0, 65536)
            if not data:
                self.stop()
                return None
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                command = json.loads(line)["start"]
                if self.fork(command):
                    return command

    def fork(self, command):
        """Forks one kernel. Returns True in the child."""
        try:
            pid = os.fork()
        except OSError as error:
            report(refused={"id": command["id"], "error": f"no process could be made: {error.strerror}"})
            return False
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for fd in (self.wake_read, self.wake_write, REPORT_FD):
                os.close(fd)
            return True
        self.kernels[pid] = command["id"]
        report(started={"id": command["id"], "pid": pid})
        return False

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            kernel_id = self.kernels.pop(pid, None)
            if kernel_id is None:
                continue
            self.sweep(pid)
            code = os.waitstatus_to_exitcode(status)
            report(
                exited={
                    "id": kernel_id,
                    "code": code if code >= 0 else None,
                    "signal": signal_name(-code) if code < 0 else None,
                }
            )

    def sweep(self, pid):
        """Kills what an ended kernel left behind, also what had moved to a session of its own."""
        kill_group(pid)
        deadline = time.monotonic() + SWEEP_BUDGET_S
        while time.monotonic() < deadline:
            orphans = [child for child in children() if child not in self.kernels]
            if not orphans:
                return
            for orphan in orphans:
                kill(orphan)
                try:
                    # Without waiting: one that is being traced is not to be had while its tracer lives.
                    os.waitpid(orphan, os.WNOHANG)
                except ChildProcessError:
                    pass
            time.sleep(SWEEP_PAUSE_S)

    def stop(self):
        for pid in list(self.kernels):
            kill_group(pid)
            kill(pid)
            os.waitpid(pid, 0)
            del self.kernels[pid]
            self.sweep(pid)


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        # A real-time signal.
        return f"SIG{number}"


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def children():
    """Direct children of this process; none where there is no /proc."""
    own = os.getpid()
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if parent == own:
            found.append(int(name))
    return found


def process_control(option, value):
    """Linux's prctl(2); does nothing elsewhere."""
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (OSError, AttributeError):
        pass


def become(user):
    # However many processes the code makes, the server beside it is heard. In a container that takes nothing from it.
    os.nice(LOWEST_PRIORITY)
    os.setgroups([])
    os.setgid(user["gid"])
    os.setuid(user["uid"])
    # A process that has changed its user may not even look at itself under /proc.
    process_control(PR_SET_DUMPABLE, 1)


def take_environment(path):
    """Takes over the variables of a session from the server, which offers them to the first who connects."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        with connection.makefile("rb") as stream:
            variables = json.load(stream)
    os.environb.update((name.encode(), value.encode(errors="replace")) for name, value in variables.items())
    # Of all that Python has looked at by now, the time zone can still be changed.
    time.tzset()


def leave_host(command, host):
    """Makes the forked child look like a process that was started for one kernel."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    try:
        # When memory runs out, the kernel goes, not the server.
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass
    if command["user"] is not None:
        become(command["user"])
    # However the host ends, its kernels end with it. A change of user takes this back, so that it comes last.
    process_control(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != host:
        os._exit(1)
    take_environment(command["environment_socket"])
    os.chdir(command["working_dir"])


def main():
    try:
        import python_kernel
    except ImportError as error:
        report(failed={"error": f"{sys.executable} cannot run a kernel: {error}"})
        sys.exit(1)
    for name in USED_BY_ALL:
        try:
            importlib.import_module(name)
        except ImportError:
            # Another version of a library may do without.
            pass
    # The folder of this script is no place for user code to import from.
    del sys.path[0]
    # The descendants' orphans become children of this process, so that none gets away from `sweep`.
    process_control(PR_SET_CHILD_SUBREAPER, 1)
    gc.collect()
    gc.freeze()
    host = os.getpid()
    command = KernelHost().serve()
    if command is not None:
        leave_host(command, host)
        python_kernel.run(command["connection_file"], command["max_text_length"])


main()
