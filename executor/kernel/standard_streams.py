"""The standard streams of the kernel, and what user code put in their place.

What it put there stays for its later cells, as long as one can write to it. The kernel itself uses its own.
"""

import contextlib
import sys

_NAMES = ("stdout", "stderr")

_own = {}
_users = {}


def adopt():
    """The streams of now are the kernel's own."""
    for name in _NAMES:
        _own[name] = _users[name] = getattr(sys, name)


def own():
    return _own.values()


def lend():
    """Puts the streams of user code in place."""
    for name in _NAMES:
        setattr(sys, name, _users[name] if _is_usable(_users[name]) else _own[name])


def take_back():
    """Puts the kernel's own streams in place, and remembers those of user code."""
    for name in _NAMES:
        _users[name] = getattr(sys, name, None)
        setattr(sys, name, _own[name])


@contextlib.contextmanager
def taken_back():
    """The kernel's own streams for what the kernel does in the middle of a cell."""
    before = {name: getattr(sys, name) for name in _NAMES if hasattr(sys, name)}
    for name in _NAMES:
        setattr(sys, name, _own[name])
    try:
        yield
    finally:
        for name in _NAMES:
            if name in before:
                setattr(sys, name, before[name])
            else:
                delattr(sys, name)


def _is_usable(stream):
    try:
        return callable(stream.write) and not getattr(stream, "closed", False)
    except BaseException:
        # Whatever the attributes of a stranger raise.
        return False
