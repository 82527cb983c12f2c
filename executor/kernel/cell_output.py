"""Output that carries the cell it belongs to, whoever makes it and however late: the cell itself, its tasks and threads,
its child processes.

A stock ipykernel sends a thread's late output under whatever cell runs by then, and a child's always; waits for its I/O
thread at every flush; breaks UTF-8 that is split between two writes to a descriptor; and drops messages, or grows
without bound, when more is printed than can be sent.
"""

import functools
import io
import os
import threading

from ipykernel.displayhook import ZMQShellDisplayHook
from ipykernel.iostream import IOPubThread, OutStream
from ipykernel.jsonutil import encode_images
from ipykernel.zmqshell import ZMQDisplayPublisher

import packing
import standard_streams
from cell_context import current_cell
from cell_pipe import CellPipe, is_open

CHUNK_LENGTH = 32 * 1024
MAX_BACKLOG_BYTES = 1024 * 1024
# What a message weighs beside its frames while it waits.
MESSAGE_OVERHEAD_BYTES = 2048
HIGH_WATER_MARK = 64

_max_text_length = None


def limit_text(length):
    """Longer texts are cut in the middle before they become a message."""
    global _max_text_length
    _max_text_length = length


def clip(value):
    if not isinstance(value, str) or _max_text_length is None or len(value) <= _max_text_length:
        return value
    half = _max_text_length // 2
    left_out = len(value) - 2 * half
    return f"{value[:half]}\n[{left_out} characters left out here]\n{value[-half:]}"


def clip_values(bundle):
    return {key: clip(value) for key, value in bundle.items()}


class CellIOPubThread(IOPubThread):
    """An I/O thread that loses nothing: when the receiver is slower than the code, the code waits."""

    def __init__(self, socket, pipe=False):
        socket.sndhwm = HIGH_WATER_MARK
        socket.xpub_nodrop = 1
        super().__init__(socket, pipe=pipe)
        self._backlog_bytes = 0
        self._room = threading.Condition()
        self._woken = False

    def schedule(self, f):
        """Wakes the thread once for all that waits: a wake-up for each would fill its queue, and block the sender."""
        if not self.thread.is_alive():
            f()
            return
        self._events.append(f)
        if not self._woken:
            self._woken = True
            self._event_pipe.send(b"")

    def _handle_event(self, msg):
        self._woken = False
        super()._handle_event(msg)

    def send_multipart(self, msg, *args, **kwargs):
        size = MESSAGE_OVERHEAD_BYTES + sum(memoryview(frame).nbytes for frame in msg)
        with self._room:
            self._backlog_bytes += size
        self.schedule(functools.partial(self._send_counted, size, msg, *args, **kwargs))

    def _send_counted(self, size, msg, *args, **kwargs):
        try:
            self._really_send(msg, *args, **kwargs)
        finally:
            with self._room:
                self._backlog_bytes -= size
                self._room.notify_all()

    def wait_for_room(self):
        """Waits while too much is on its way already. Never in the I/O thread, which makes the room."""
        if self._backlog_bytes <= MAX_BACKLOG_BYTES or threading.current_thread() is self.thread:
            return
        with self._room:
            self._room.wait_for(lambda: self._backlog_bytes <= MAX_BACKLOG_BYTES or self._stopped)


class CellStream(OutStream):
    """Standard output or error of the kernel."""

    flush_interval = 0.1

    def __init__(self, session, pub_thread, name, **_options):
        super().__init__(session, pub_thread, name, watchfd=False)
        self._fd = {"stdout": 1, "stderr": 2}[name]
        self._pending = {}  # msg_id -> (cell, buffer)
        # Reentrant as the other locks here, because a signal handler may print.
        self._pending_lock = threading.RLock()
        self._pipe = None
        self._next_pipe = None
        self._old_pipes = []
        self._pipes = set()  # all that somebody may still write to
        self._child_pid = None
        self._child_text = ""

    @property
    def parent_header(self):
        return current_cell()

    @parent_header.setter
    def parent_header(self, value):
        pass

    def set_parent(self, parent):
        pass

    def fileno(self):
        return self._fd

    def prepare_cell(self):
        """Does between two cells what they need not wait for."""
        while self._old_pipes:
            self._old_pipes.pop().end()
        if self._pipe is not None and not is_open(self._fd):
            self._pipe.stand_behind(self._fd)
        if self._next_pipe is None:
            try:
                self._next_pipe = CellPipe(self, over=self._pipes.discard)
                self._pipes.add(self._next_pipe)
            except OSError:
                # No descriptor is left. Code can still run, and close some.
                pass

    def begin_cell(self, cell):
        """Puts a pipe of the cell's own behind the descriptor. The last one lives on in children that hold it."""
        self.prepare_cell()
        if self._next_pipe is None:
            if self._pipe is not None:
                self._pipe.cell = cell
            return
        if self._pipe is not None:
            self._old_pipes.append(self._pipe)
        self._pipe, self._next_pipe = self._next_pipe, None
        self._pipe.begin(cell, self._fd)

    def is_whole(self):
        """Whether the descriptors of its own are all there."""
        return all(pipe.is_whole() for pipe in tuple(self._pipes))

    def close(self):
        """Stays open: the next cell's output needs it."""
        self.flush()

    def write(self, string):
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if self.pub_thread is None:
            raise ValueError("I/O operation on closed file")
        if os.getpid() != self._master_pid:
            self._write_in_child(string)
            return len(string)
        self.write_for(current_cell(), string)
        self.pub_thread.wait_for_room()
        return len(string)

    def _write_in_child(self, string):
        """The pipe brings a forked child's lines to the I/O thread, which the child has not."""
        if self._child_pid != os.getpid():
            self._child_pid, self._child_text = os.getpid(), ""
        lines, newline, self._child_text = (self._child_text + string).rpartition("\n")
        self._write_through(lines + newline)

    def _write_through(self, text):
        data = memoryview(packing.encode(text))
        while data:
            data = data[os.write(self._fd, data) :]

    def write_for(self, cell, string):
        with self._pending_lock:
            entry = self._pending.get(cell.get("msg_id"))
            if entry is None:
                entry = self._pending[cell.get("msg_id")] = (cell, io.StringIO())
            entry[1].write(string)
            if entry[1].tell() >= CHUNK_LENGTH:
                self._flush()
        if not self._flush_pending:
            self._flush_pending = True
            self.pub_thread.schedule(self._start_timer)

    def _start_timer(self):
        self._io_loop.call_later(self.flush_interval, self._flush_late)

    def _flush_late(self):
        """For cells that print and go on without a flush."""
        self._flush_pending = False
        self._flush()

    def flush(self):
        """Hands everything to the I/O thread, which keeps the order; there is nothing to wait for."""
        if self.pub_thread is None:
            return
        if os.getpid() != self._master_pid:
            if self._child_pid == os.getpid():
                text, self._child_text = self._child_text, ""
                self._write_through(text)
            return
        if self._pipe is not None:
            self._pipe.drain()
        if self._pending:
            self._flush()

    def _flush(self):
        with self._pending_lock:
            pending, self._pending = self._pending, {}
            for cell, buffer in pending.values():
                text = buffer.getvalue()
                for start in range(0, len(text), CHUNK_LENGTH):
                    self._send(cell, text[start : start + CHUNK_LENGTH])

    def _send(self, cell, text):
        content = {"name": self.name, "text": text}
        self.session.send(
            self.pub_thread, self.session.msg("stream", content, parent=cell), ident=self.topic
        )


class CellDisplayPublisher(ZMQDisplayPublisher):
    parent_header = property(lambda self: current_cell())

    def set_parent(self, parent):
        pass

    def _flush_streams(self):
        with standard_streams.taken_back():
            super()._flush_streams()

    def publish(self, data, metadata=None, transient=None, update=False, **kwargs):
        super().publish(clip_values(encode_images(data)), metadata, transient, update, **kwargs)
        if os.getpid() == self.pub_socket.io_thread._master_pid:
            self.pub_socket.io_thread.wait_for_room()


class CellDisplayHook(ZMQShellDisplayHook):
    parent_header = property(lambda self: current_cell())

    def set_parent(self, parent):
        pass

    def write_format_data(self, format_dict, md_dict=None):
        super().write_format_data(format_dict, md_dict)
        if self.msg:
            self.msg["content"]["data"] = clip_values(self.msg["content"]["data"])

    def finish_displayhook(self):
        with standard_streams.taken_back():
            super().finish_displayhook()
