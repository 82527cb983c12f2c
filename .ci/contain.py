"""Runs a command and tells which of its processes outlived it.

    contain.py --limit SECONDS --leftovers FILE COMMAND [ARGUMENT...]

Exits with the command's exit code. Every process that descends from the command is known by the kernel's own
bookkeeping (this process is their "subreaper"), whatever session, environment or name it gave itself. Those that still
live SETTLE_S after the command has ended are written to FILE, one a line, and then ended. Past the limit, and on INT or
TERM, its whole tree is asked to end, and is killed where the command has not ended GRACE_S later.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SETTLE_S = 5
GRACE_S = 20


def parent_of(pid: int) -> int:
    """The parent's id, or 0 when the process has gone or is a zombie."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if state == "Z" else int(parent)


def descendants() -> list[int]:
    parents = {int(entry.name): parent_of(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}

    def below(pid: int) -> Iterator[int]:
        for child, parent in parents.items():
            if parent == pid:
                yield child
                yield from below(child)

    return list(below(os.getpid()))


def describe(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        command = ""
    return f"process {pid} {command or '(gone since)'}"


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def reap(seconds: float) -> bool:
    """Collects ended descendants until none lives; False when some still do after the given time."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if pid == 0:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--limit", type=int, required=True, metavar="SECONDS")
    parser.add_argument("--leftovers", type=Path, required=True, metavar="FILE")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become the reaper of the command's processes")

    stopping = False

    def stop(number: int, _frame: object) -> None:
        nonlocal stopping
        if number == signal.SIGALRM:
            late = "and does not end" if stopping else f"after {arguments.limit} s"
            print(f"contain: the command still runs {late}", file=sys.stderr, flush=True)
        elif stopping:
            return
        for pid in descendants():
            send(pid, signal.SIGKILL if stopping else signal.SIGTERM)
        stopping = True
        signal.alarm(GRACE_S)

    # A shell starts its background commands with INT ignored, which programs inherit; a handler set here becomes the
    # default again in the command, so that tests which interrupt a process see what they see at a terminal.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    child = subprocess.Popen(arguments.command)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, stop)
    signal.alarm(arguments.limit)

    status = None
    while status is None:
        pid, ended = os.waitpid(-1, 0)
        if pid == child.pid:
            status = os.waitstatus_to_exitcode(ended)
    signal.alarm(0)

    left = [] if reap(SETTLE_S) else descendants()
    arguments.leftovers.write_text("".join(f"{describe(pid)}\n" for pid in left))
    while not reap(0.5):
        for pid in descendants():
            send(pid, signal.SIGKILL)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
