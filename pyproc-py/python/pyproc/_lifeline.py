"""Ends the worker when its host is gone, however the host went and whatever the worker does.

The host holds the write end of a pipe and never writes to it. The kernel closes it with the host,
and then has the read end kill the worker and its process group, in the middle of an endless loop
or of a call into C.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal

from ._stdio import duplicate_high

_watched: list[int] = []


def watch(descriptor: int) -> None:
    """Watch the read end of a lifeline from now on, until the process ends; it is taken over.

    A stream socket whose other end the host holds, and keeps silent, serves as well.
    """
    # User code that closes what it has not opened names low numbers, and would lose it in silence.
    descriptor, given = duplicate_high(descriptor), descriptor
    os.close(given)
    _watched.append(descriptor)
    if hasattr(fcntl, "F_SETSIG"):
        # The group only where it is ours: that of somebody's shell must not be killed.
        owner = -os.getpgrp() if os.getpgrp() == os.getpid() else os.getpid()
        fcntl.fcntl(descriptor, fcntl.F_SETOWN, owner)
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    else:
        from threading import Thread

        Thread(target=_wait, args=(descriptor,), daemon=True, name="pyproc-lifeline").start()
    # The host may have gone before the kernel knew whom to tell.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    if poll.poll(0):
        _end()


def _wait(descriptor: int) -> None:
    while os.read(descriptor, 1):
        pass
    _end()


def _end() -> None:
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
