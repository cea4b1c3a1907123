"""What a running call knows about itself."""

from __future__ import annotations

from contextvars import ContextVar
from time import CLOCK_MONOTONIC, clock_gettime_ns

from ._cancellation import CANCELLATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._request import Request


MAX_METADATA_BYTES = 65_535
"""What a frame has room for, in bytes: two for the length of each text, and the text."""


class Context:
    """The call that runs.

    A parameter annotated `Context` receives it; elsewhere `current_context()` returns it. In a
    test of your own make one with what the function looks at: `Context(pool="iris")`.
    """

    __slots__ = (
        "_deadline_ns",
        "_is_cancelled",
        "_reply_metadata",
        "_request",
        "call_id",
        "metadata",
        "pool",
        "slot",
    )

    call_id: int
    """Identifies the call on its connection, and in the host's log."""

    metadata: Mapping[str, str]
    """What the caller sent beside the arguments."""

    pool: str
    """The name of the host's pool; empty where there is none."""

    slot: int | None
    """The worker's place in the pool, if it has one."""

    def __init__(
        self,
        call_id: int = 0,
        *,
        deadline: float | None = None,
        metadata: Mapping[str, str] | None = None,
        pool: str = "",
        slot: int | None = None,
        cancelled: bool = False,
    ) -> None:
        self.call_id = call_id
        self.metadata = {} if metadata is None else metadata
        self.pool = pool
        self.slot = slot
        self._deadline_ns = None if deadline is None else int(deadline * 1e9)
        self._is_cancelled = cancelled
        self._request: Request | None = None
        self._reply_metadata: dict[str, str] | None = None

    @classmethod
    def _of(cls, request: Request) -> Context:
        context = cls(
            request.call,
            metadata=dict(request.metadata),
            pool=request.connection.pool,
            slot=request.connection.slot,
        )
        context._deadline_ns = request.deadline_ns
        context._request = request
        return context

    @property
    def deadline(self) -> float | None:
        """When the caller stops waiting, in seconds of CLOCK_MONOTONIC; `None` for never."""
        return None if self._deadline_ns is None else self._deadline_ns / 1e9

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, negative once it has passed; `None` for ever."""
        return None if self._deadline_ns is None else (self._deadline_ns - now_ns()) / 1e9

    def cancelled(self) -> bool:
        """Return whether nobody waits for the call any more: it was cancelled, or is late.

        For code that would rather end by itself than be interrupted. It takes less than a
        microsecond.
        """
        if self._is_cancelled or CANCELLATIONS.is_cancelled(self.call_id):
            return True
        return self._deadline_ns is not None and now_ns() >= self._deadline_ns

    def on_cancel(self, callback: Callable[[], object]) -> None:
        """Have `callback()` called, once, when nobody waits for the call any more.

        For what keeps the function waiting where no interrupt reaches it: `connection.cancel` of a
        database, `process.kill`. It is called within some milliseconds, by another thread while the
        function runs, or as it ends, and never after that; in async functions by the event loop.
        What it raises goes to standard error.
        """
        if self._request is not None:
            CANCELLATIONS.on_cancel(self._request, callback)
        elif self.cancelled():
            callback()

    def set_metadata(self, key: str, value: str) -> None:
        """Send a pair of texts back beside the result, in place of an earlier one of this key.

        The caller finds it in the metadata of its response. An error has none, nor has a stream.
        Raises `ValueError` when all pairs together, with 4 bytes for each, have more than 65,535
        bytes, or are no text that UTF-8 can carry.
        """
        for text in (key, value):
            if not isinstance(text, str):
                raise TypeError(f"metadata are texts, not {type(text).__name__}")
        pairs = {**self.reply_metadata, key: value}
        size = sum(2 + len(text.encode()) for pair in pairs.items() for text in pair)
        if size > MAX_METADATA_BYTES:
            raise ValueError(
                f"the metadata take {size} bytes, and a frame has {MAX_METADATA_BYTES} for them"
            )
        if self._request is None:
            self._reply_metadata = pairs
        else:
            self._request.reply_metadata = pairs

    @property
    def reply_metadata(self) -> Mapping[str, str]:
        """What `set_metadata` has been given so far; a copy, which says nothing to the caller."""
        holder = self._reply_metadata if self._request is None else self._request.reply_metadata
        return {} if holder is None else dict(holder)

    def __repr__(self) -> str:
        place = self.pool if self.slot is None else f"{self.pool}/{self.slot}"
        return f"Context(call_id={self.call_id}, place={place!r}, remaining={self.remaining()})"


def current_context() -> Context:
    """Return the context of the call that runs in this thread.

    Raises `LookupError` where none runs: at import, in hooks, and in threads that the function
    started without a copy of its `contextvars` context.
    """
    request = running_request.get()
    if request is None:
        raise LookupError("no call is running here")
    return Context._of(request)


def now_ns() -> int:
    """Return CLOCK_MONOTONIC, which the host reads too, in nanoseconds.

    `time.monotonic_ns` is another clock on macOS, where it stands still during sleep.
    """
    return clock_gettime_ns(CLOCK_MONOTONIC)


running_request: ContextVar[Request | None] = ContextVar("pyproc.running_request", default=None)
