"""The memory that a worker shares with its host, to say what no message can.

When a worker is dead or stuck, the page still tells which calls it has begun. It is an array of
64-bit words in the machine's order of bytes, each written by one side only and in one piece;
`docs/protocol.md` has the table, and the compiled core and the host use the same numbers.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

BYTES = 4096

MAGIC = int.from_bytes(b"pyproc\0\1", sys.byteorder)
"""What says that the worker keeps the page; its last byte is the version of the layout."""

# Written by the worker.
MAGIC_WORD = 0
TAKEN = 1
STARTED_NS = 2
STARTED = 3
RESUMED = 4

# Written by the host.
INTERRUPT = 8
CANCEL_SEQ = 9

NO_WORDS = memoryview(bytearray(BYTES)).cast("Q")
"""In place of a state page where there is none; nobody reads what is written here."""


class StatePage:
    """The page of a worker."""

    __slots__ = ("_circle", "_memory", "words")

    words: memoryview
    """All the words, by their places. A store to one of them is a single instruction."""

    def __init__(self, descriptor: int) -> None:
        """Map the memory behind `descriptor`, which is closed.

        Raises `OSError` or `ValueError` where it cannot be mapped, is too short, or may become so:
        to read where the memory has ended would kill the process.
        """
        import fcntl
        import mmap

        try:
            if not fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
                raise ValueError("the host could make it shorter")
            memory = _map(descriptor)
        finally:
            os.close(descriptor)
        # Not even by mistake must a child that user code forks speak for the worker. (On macOS,
        # where there is no such advice, no host has a page to offer.)
        memory.madvise(mmap.MADV_DONTFORK)
        self._memory = memory
        # The number above may be somebody else's when the interpreter ends. So the object is never
        # freed: it is in a circle, and the worker has the collector leave alone what lives by now.
        self._circle: list[object] = [memory]
        self._circle.append(self._circle)
        self.words = memoryview(memory).cast("Q")

    def open(self) -> None:
        """Tell the host that the page is kept from now on, and that its signals are welcome."""
        self.words[MAGIC_WORD] = MAGIC


def _map(descriptor: int) -> mmap:
    """Map the memory, and hold no descriptor of it.

    A forked child would have that for as long as it lives.
    """
    import mmap

    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, BYTES, trackfd=False)
    # What is mapped keeps a duplicate, by the lowest number that is free.
    number = os.dup(descriptor)
    os.close(number)
    memory = mmap.mmap(descriptor, BYTES)
    try:
        is_duplicate = os.path.sameopenfile(number, descriptor)
    except OSError:  # Another thread was quicker.
        is_duplicate = False
    if is_duplicate:
        # The object closes the number when it is freed, so it stays taken.
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, number, inheritable=False)
        os.close(null)
    return memory
