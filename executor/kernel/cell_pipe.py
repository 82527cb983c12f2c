"""Pipes that bring what is written to a descriptor to the stream of the cell that it belongs to."""

import codecs
import fcntl
import functools
import os
import threading

from tornado.ioloop import IOLoop

PIPE_BYTES = 64 * 1024


def open_pipe():
    """A pipe that leaves alone the standard descriptors, which code may have closed."""
    ends = os.pipe()
    if min(ends) > 2:
        return ends
    try:
        return tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 3) for end in ends)
    finally:
        for end in ends:
            os.close(end)


class CellPipe:
    """The pipe that stands behind a standard descriptor while one cell runs, and longer in the children of that cell."""

    def __init__(self, stream, over):
        self.cell = {}
        self._stream = stream
        self._over = over
        self._read_end, self._write_end = open_pipe()
        os.set_blocking(self._read_end, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._lock = threading.RLock()
        loop = stream.pub_thread.io_loop
        stream.pub_thread.schedule(
            functools.partial(loop.add_handler, self._read_end, self._readable, IOLoop.READ)
        )

    def begin(self, cell, descriptor):
        self.cell = cell
        self.stand_behind(descriptor)

    def stand_behind(self, descriptor):
        os.dup2(self._write_end, descriptor)

    def end(self):
        """Lets go of the write end: when no child holds it either, the pipe is over."""
        with self._lock:
            os.close(self._write_end)
            self._write_end = None
            if self._read_end is None:
                self._over(self)

    def is_whole(self):
        """Whether nobody else has closed an end of it."""
        with self._lock:
            if self._read_end is None:
                return self._write_end is None
            return all(is_open(end) for end in (self._read_end, self._write_end) if end is not None)

    def drain(self):
        """Takes over what was written so far, that is what a pipe can hold: whoever floods it has to wait for more.

        Returns False when nobody can write any more.
        """
        with self._lock:
            if self._read_end is None:
                return False
            try:
                data = os.read(self._read_end, PIPE_BYTES)
            except BlockingIOError:
                return True
            text = self._decoder.decode(data, final=not data)
            if text:
                self._stream.write_for(self.cell, text)
            return bool(data)

    def _readable(self, _fd, _events):
        if self.drain():
            return
        self._stream.pub_thread.io_loop.remove_handler(self._read_end)
        with self._lock:
            os.close(self._read_end)
            self._read_end = None
            if self._write_end is None:
                self._over(self)


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
