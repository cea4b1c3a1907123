"""Waits for the host on behalf of a function; an interrupt of the function ends the wait."""

from __future__ import annotations

import select


def wait_for(fileno: int, *, to_write: bool = False, longest_ms: int | None = None) -> None:
    """Wait until a socket can be read, or written to where that is wanted.

    It is no method of the lane, whose own methods must come to their end.
    """
    poll = select.poll()
    poll.register(fileno, select.POLLIN | (select.POLLOUT if to_write else 0))
    poll.poll(longest_ms)
