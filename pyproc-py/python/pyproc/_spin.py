"""Decides when it pays to look for work for a while before going to sleep."""

from __future__ import annotations

MAX_CREDIT = 8
"""So many successes in a row are remembered."""

MISS_COST = 2
"""A failure burns more time than a success saves, so it takes two successes to make up for it."""

MIN_DISTANCE = 8
MAX_DISTANCE = 1024
"""How many waits go by without a look after failures: ever more of them, up to this."""


class Spin:
    """A policy, without a clock or a socket: it is told how the last looks ended.

    Waking a sleeping thread takes longer than most calls. A thread that looks for work without
    blocking needs no waking, but takes the time of its core from others. So it goes on as long as
    most looks find something, and otherwise tries again only now and then.
    """

    def __init__(self, longest_ns: int) -> None:
        """`longest_ns` is how long one look may last; 0 for never to look."""
        self._longest_ns = longest_ns
        self._credit = MAX_CREDIT // 2
        self._distance = MIN_DISTANCE
        self._pause = 0

    def budget_ns(self) -> int:
        """Return how long to look before this wait."""
        if self._pause:
            self._pause -= 1
            return 0
        return self._longest_ns

    def hit(self) -> None:
        """Take note that a look found something that was not there yet when it began."""
        self._credit = min(self._credit + 1, MAX_CREDIT)
        if self._credit > MISS_COST:
            self._distance = MIN_DISTANCE

    def miss(self) -> None:
        """Take note that a look was in vain."""
        self._credit = max(self._credit - MISS_COST, 0)
        if not self._credit:
            self._pause = self._distance
            self._distance = min(2 * self._distance, MAX_DISTANCE)
