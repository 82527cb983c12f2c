"""Which cell running code belongs to: the cell itself, its tasks, its threads, and what it gives to a pool."""

import _thread as _thread_module
import contextvars
import functools
import threading
from concurrent.futures import ThreadPoolExecutor

_cell = contextvars.ContextVar("cell")
_thread = threading.local()
_latest_cell = {}


def enter_cell(header):
    """Output belongs to the request with this header from now on, in this context and what is started from it."""
    global _latest_cell
    _latest_cell = header
    _cell.set(header)


def current_cell():
    """Header of the request that the running code belongs to."""
    cell = _cell.get(None)
    return getattr(_thread, "cell", _latest_cell) if cell is None else cell


def in_current_cell(function):
    """The function, to be called elsewhere as a part of the current cell."""
    cell = current_cell()

    @functools.wraps(function, updated=())
    def call(*args, **kwargs):
        token = _cell.set(cell)
        try:
            return function(*args, **kwargs)
        finally:
            _cell.reset(token)

    return call


def thread_of_current_cell(function):
    """The function, to be run by a thread that is of the current cell, also in what follows the function itself."""
    cell = current_cell()

    @functools.wraps(function, updated=())
    def run(*args, **kwargs):
        _thread.cell = cell
        return function(*args, **kwargs)

    return run


def follow_threads():
    """Threads belong to the cell that starts them, work for a pool to the cell that submits it."""
    thread_start = threading.Thread.start
    start_new_thread = _thread_module.start_new_thread
    pool_submit = ThreadPoolExecutor.submit

    def start(self):
        # Timers and many others override `run`: only an attribute of the instance comes before all of them.
        self.run = thread_of_current_cell(self.run)
        thread_start(self)

    def start_function(function, args, kwargs={}):
        return start_new_thread(thread_of_current_cell(function), args, kwargs)

    def submit(self, fn, /, *args, **kwargs):
        return pool_submit(self, in_current_cell(fn), *args, **kwargs)

    threading.Thread.start = start
    _thread_module.start_new_thread = start_function
    ThreadPoolExecutor.submit = submit
