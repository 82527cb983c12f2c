"""What a kernel cannot do without, and user code can reach: attributes of its objects, its descriptors, its loop."""

import os
import socket
import stat

import interrupts
from cell_pipe import is_open

_ATTRIBUTES = {
    "kernel": ("session", "shell", "iopub_socket", "iopub_thread", "shell_stream", "control_stream", "msg_queue"),
    "shell": ("displayhook", "display_pub", "payload_manager", "history_manager", "kernel"),
}
_FIRST_OWN_DESCRIPTOR = 3
# The kernel opens a few dozen before it runs any code.
_MAX_DESCRIPTORS = 256


class VitalParts:
    """The parts of a kernel that has run no code yet."""

    def __init__(self, kernel, streams):
        owners = {"kernel": kernel, "shell": kernel.shell}
        self._kernel = kernel
        self._streams = tuple(streams)
        self._attributes = [
            (owner, name, getattr(owner, name))
            for key, owner in owners.items()
            for name in _ATTRIBUTES[key]
        ]
        self._sockets = [kernel.iopub_thread.socket, kernel.shell_stream.socket]
        self._iopub_thread = kernel.iopub_thread.thread
        iopub = kernel.iopub_thread.socket.LAST_ENDPOINT.decode()
        self._inodes = {
            fd: os.fstat(fd).st_ino
            for fd in range(_FIRST_OWN_DESCRIPTOR, _MAX_DESCRIPTORS)
            if is_open(fd) and (fd in interrupts.DESCRIPTORS or _is_vital(fd, iopub))
        }

    def put_back(self):
        """Undoes what code did to the kernel's attributes."""
        for owner, name, value in self._attributes:
            if getattr(owner, name, None) is not value:
                setattr(owner, name, value)

    def are_intact(self):
        """Whether the kernel can still answer: what was closed under it cannot be put back."""
        return (
            self._iopub_thread.is_alive()
            and not any(each.closed for each in self._sockets)
            and not self._kernel.shell_stream.closed()
            and not self._kernel.io_loop.closing
            and self._has_descriptors()
            and all(stream.is_whole() for stream in self._streams)
        )

    def _has_descriptors(self):
        try:
            return all(os.fstat(fd).st_ino == inode for fd, inode in self._inodes.items())
        except OSError:
            return False


def _is_vital(descriptor, iopub):
    """The kernel's messages, and what wakes its threads. A connection for output may be lost, and is made again."""
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    # Without a kind: Linux's eventfd and epoll.
    return kind == 0 or (kind == stat.S_IFSOCK and not iopub.endswith(_address(descriptor)))


def _address(descriptor):
    with socket.socket(fileno=os.dup(descriptor)) as duplicate:
        name = duplicate.getsockname()
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else f"//{name}"
