"""Shows where all threads are, when the host asks and when the process crashes.

It is the kernel that calls for it and C that writes it, so it works while a function holds the
interpreter lock, and it kills nobody. The host reads what is written from memory that it shares.
"""

from __future__ import annotations

import faulthandler
import os
import signal

from ._stdio import duplicate_high

STDERR = 2


class Stacks:
    """Writes the Python stacks of all threads to a descriptor."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        # User code that closes what it has not opened, and opens a file, gets a low number.
        self._descriptor = duplicate_high(descriptor)
        os.close(descriptor)

    def install(self) -> None:
        """Write on SIGWINCH, which processes without a handler ignore, and when a signal kills."""
        faulthandler.enable(self._descriptor, all_threads=True)
        faulthandler.register(signal.SIGWINCH, self._descriptor, all_threads=True, chain=False)

    def abandon(self) -> None:
        """In a forked child, write to stderr again: what kills it is not what kills the worker."""
        faulthandler.unregister(signal.SIGWINCH)
        faulthandler.enable(STDERR, all_threads=True)
        os.close(self._descriptor)
