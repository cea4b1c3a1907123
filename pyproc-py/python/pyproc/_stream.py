"""A call that is answered by a stream: what its function yields, and how much of it may be sent."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._request import Request


MAX_BURST = 256


class Stream:
    """One stream, from its request to its end.

    It is begun when its request has its turn. From then on it goes on while it has credit, and is
    set aside while it has none; between its items the worker runs what else there is.
    """

    __slots__ = ("burst", "credit", "is_cancelled", "is_ready", "items", "request")

    request: Request

    items: Iterator[object] | None
    """What yields its items; `None` before it has begun."""

    credit: int
    """How many bytes of frames may be sent. As long as any are left, an item of any length may."""

    is_cancelled: bool
    """Whether the host wants no more of it."""

    is_ready: bool
    """Whether it has its place among those that go on."""

    burst: int
    """How many items may be sent together.

    The first one is sent before the next is made, which may take long. While they are made quickly,
    twice as many may be each time.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.items = None
        self.credit = 0
        self.is_cancelled = False
        self.is_ready = False
        self.burst = 1

    @property
    def can_go_on(self) -> bool:
        """Whether there is something to be done about it: an item to be made, or its end."""
        return self.items is not None and (self.credit > 0 or self.is_cancelled)

    def set_pace(self, *, is_quick: bool) -> None:
        """Let more items be sent together from now on, or one at a time."""
        self.burst = min(2 * self.burst, MAX_BURST) if is_quick else 1

    def close(self) -> None:
        """Have the generator clean up. Raises what it does."""
        close = getattr(self.items, "close", None)
        if close is not None:
            close()
