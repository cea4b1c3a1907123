"""A payload that is too long to be read in one piece, while it arrives."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap

MAPPED_BYTES = 1024 * 1024
"""From here on a payload gets memory of its own from the system, and gives it back."""


class LargePayload:
    """Memory for a payload whose length is known, and how much of it is there."""

    def __init__(self, length: int, beginning: bytes | bytearray) -> None:
        memory = _mapped(length) if length > MAPPED_BYTES else bytearray(length)
        self.view = memoryview(memory)
        self.view[: len(beginning)] = beginning
        self._arrived = len(beginning)

    @property
    def room(self) -> memoryview:
        """Where the next bytes belong."""
        return self.view[self._arrived :]

    def filled(self, count: int) -> bool:
        """Take note that `count` bytes were written to `room`; tell whether that were all."""
        self._arrived += count
        return self._arrived == len(self.view)


def _mapped(length: int) -> mmap:
    """Return memory that costs nothing until something is written to it, page by page.

    So a peer that claims more than it sends gains nothing. Most of the time that a large payload
    takes goes into first touching its pages; large ones, where the system has them, halve it.
    """
    import mmap

    memory = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            memory.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass  # This kernel has none.
    return memory
