"""The memory that a worker shares with its host, to say what no message can.

When a worker is dead or stuck, the page still tells which calls it has begun. It is an array of
64-bit words in the machine's order of bytes, each written by one side only and in one piece;
`docs/protocol.md` has the table, and the compiled core and the host use the same numbers.
"""

from __future__ import annotations

import os
import sys

BYTES = 4096

MAGIC = int.from_bytes(b"pyproc\0\1", sys.byteorder)
"""What says that the worker keeps the page; its last byte is the version of the layout."""

# Written by the worker.
MAGIC_WORD = 0
TAKEN = 1
STARTED_NS = 2
STARTED = 3

# Written by the host.
INTERRUPT = 8
CANCEL_SEQ = 9


class StatePage:
    """The page of a worker."""

    __slots__ = ("_memory", "words")

    words: memoryview
    """All the words, by their places. A store to one of them is a single instruction."""

    def __init__(self, descriptor: int) -> None:
        """Map the memory behind `descriptor`, which is closed.

        Raises `OSError` or `ValueError` where it cannot be mapped, or is too short.
        """
        import mmap

        try:
            memory = mmap.mmap(descriptor, BYTES)
        finally:
            os.close(descriptor)
        # Not even by mistake must a child that user code forks speak for the worker. (On macOS,
        # where there is no such advice, no host has a page to offer.)
        memory.madvise(mmap.MADV_DONTFORK)
        self._memory = memory
        self.words = memoryview(memory).cast("Q")

    def open(self) -> None:
        """Tell the host that the page is kept from now on, and that its signals are welcome."""
        self.words[MAGIC_WORD] = MAGIC
