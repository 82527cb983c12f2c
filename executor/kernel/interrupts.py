"""Interrupts that hit a cell's code and nothing else, and are never lost.

Code of IPython's own, around a cell's, would swallow one or break. And one that arrives in the moment between Python's
last look for signals and a blocking call, a `sleep` say, would be noticed when that call returns.
"""

import asyncio
import os
import select
import signal
import threading

_RESEND_AFTER_S = 0.05

_arrived, _arrival = os.pipe()
os.set_blocking(_arrived, False)
os.set_blocking(_arrival, False)
DESCRIPTORS = (_arrived, _arrival)
_kept = False
_cancel = None


def expect():
    """Keeps an interrupt that comes from now on for the moment in which the cell's code begins."""
    global _kept
    _kept = False
    signal.signal(signal.SIGINT, _keep)


def allow():
    """The cell's code runs: an interrupt is raised where that code is, also one that was kept.

    Returns the handler to restore when the code has returned.
    """
    before = signal.signal(signal.SIGINT, _raise)
    _send_kept()
    return before


def expect_coroutine():
    """As `expect`, where the handler that cancels a coroutine has been set already: cancelling it now would be lost on
    code that does not wait."""
    global _cancel
    _cancel = signal.signal(signal.SIGINT, _keep)


def allow_coroutine(code):
    """As `allow`, for a coroutine: while it waits, the handler that cancels it has to do."""
    before = signal.getsignal(signal.SIGINT)
    cancel = _cancel if before is _keep else before

    def raise_or_cancel(signum, frame):
        _noticed()
        while frame is not None:
            if frame.f_code is code:
                raise KeyboardInterrupt
            frame = frame.f_back
        cancel(signum, frame)
        # It leaves a callback to the loop, which sleeps on after a signal.
        asyncio.get_running_loop().call_soon_threadsafe(lambda: None)

    raise_or_cancel.raises = True
    signal.signal(signal.SIGINT, raise_or_cancel)
    _send_kept()
    return before


def restore(before):
    signal.signal(signal.SIGINT, before)


def ignore():
    """Between cells there is nothing to interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def leave_out_handler(traceback):
    """A traceback of an interrupt ends where the code was, not in the handler here."""
    while traceback is not None and traceback.tb_next is not None:
        if traceback.tb_next.tb_frame.f_code.co_filename == __file__:
            traceback.tb_next = None
        traceback = traceback.tb_next


def watch():
    """Sends an interrupt again that was kept, or that arrived in the process and was not noticed by the main thread."""
    # The interpreter writes to this descriptor when the signal arrives; the handlers here read that away.
    signal.set_wakeup_fd(_arrival, warn_on_full_buffer=False)
    threading.Thread(target=_watch, name="interrupts", daemon=True).start()


def _watch():
    pause = threading.Event()
    while True:
        select.select([_arrived], [], [], _RESEND_AFTER_S if _kept else None)
        pause.wait(_RESEND_AFTER_S)
        handler = signal.getsignal(signal.SIGINT)
        # Only handlers that raise are worth a second signal.
        if hasattr(handler, "raises"):
            if _kept or select.select([_arrived], [], [], 0)[0]:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        elif handler is not _keep:
            _forget()


def _send_kept():
    if _kept:
        os.write(_arrival, b"k")


def _noticed():
    global _kept
    _kept = False
    _forget()


def _forget():
    try:
        os.read(_arrived, 4096)
    except BlockingIOError:
        pass


def _keep(_signum, _frame):
    global _kept
    _kept = True
    _forget()


def _raise(_signum, _frame):
    _noticed()
    raise KeyboardInterrupt


_raise.raises = True
