"""Which calls nobody waits for any more, and what their functions want done about it.

A function that runs hears of it from the state page, where the host names its call. One that shares
its worker with others is told by its loop, which has read it from the host. Neither costs a call
anything that does not ask.
"""

from __future__ import annotations

import sys
from _thread import LockType, allocate_lock, start_new_thread
from time import CLOCK_MONOTONIC, clock_gettime_ns, sleep

from ._state_page import INTERRUPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ._interrupt import Running
    from ._request import Request

    Callback: TypeAlias = Callable[[], object]
    Schedule: TypeAlias = Callable[[Callback], object]

INTERVAL_SECONDS = 0.005
"""How often it is looked whether a call was cancelled that wants to be told."""


class Watched:
    """What one call wants done when it is cancelled."""

    __slots__ = ("callbacks", "deadline_ns", "is_scheduled", "lock", "schedule")

    deadline_ns: int | None
    """From then on nobody waits for it in any case."""

    lock: LockType
    """Held while a callback runs, so that none runs when the call has ended."""

    schedule: Schedule | None
    """Who calls the callbacks; without it the thread does that watches."""

    is_scheduled: bool
    """Whether that one is yet to do so."""

    def __init__(self, deadline_ns: int | None, schedule: Schedule | None) -> None:
        self.callbacks: list[Callback] = []
        self.deadline_ns = deadline_ns
        self.lock = allocate_lock()
        self.schedule = schedule
        self.is_scheduled = False

    def tell(self) -> None:
        """Have called what has not been called yet."""
        if self.schedule is None:
            self.call_back()
        elif self.callbacks and not self.is_scheduled:
            self.is_scheduled = True
            try:
                self.schedule(self.call_back)
            except RuntimeError:
                pass  # The event loop is closed: no call goes on.

    def call_back(self) -> None:
        """Call what has not been called yet; nothing, when the call has ended meanwhile."""
        self.is_scheduled = False
        with self.lock:
            while self.callbacks:
                callback = self.callbacks.pop(0)
                try:
                    callback()
                except BaseException as error:
                    sys.excepthook(type(error), error, error.__traceback__)


class Shared:
    """A call that shares its worker with others."""

    __slots__ = ("is_cancelled", "schedule")

    is_cancelled: bool
    """Whether the host wants it no more."""

    schedule: Schedule | None
    """Who calls what it wants done about that; without it the thread does that watches."""

    def __init__(self, schedule: Schedule | None = None) -> None:
        self.is_cancelled = False
        self.schedule = schedule


class Cancellations:
    """Those of the calls of this process."""

    __slots__ = ("_is_watching", "_lock", "_running", "_shared", "_watched", "_words")

    def __init__(self) -> None:
        self._words: memoryview | None = None
        self._running: Running | None = None
        self._forget_all()

    def _forget_all(self) -> None:
        self._lock = allocate_lock()
        self._is_watching = False
        self._shared: dict[int, Shared] = {}
        self._watched: dict[int, Watched] = {}

    def read_from(self, words: memoryview) -> None:
        """Hear of cancelled calls from the words of a state page."""
        self._words = words

    def report_to(self, running: Running) -> None:
        """Have `running.is_watched` say whether any call has to be told of its end."""
        self._running = running

    def abandon(self) -> None:
        """In a forked child, forget all calls: the page is not there, nor the thread."""
        self._words = None
        self._forget_all()

    def is_cancelled(self, call: int) -> bool:
        """Return whether the host has cancelled a call that runs."""
        shared = self._shared.get(call)
        if shared is not None and shared.is_cancelled:
            return True
        return self._words is not None and call != 0 and self._words[INTERRUPT] == call

    def on_cancel(self, request: Request, callback: Callback) -> None:
        """Call `callback` once, when a call that runs is cancelled or its deadline passes.

        Any thread may ask for it. When the call has ended nothing is called, nor kept.
        """
        with self._lock:
            # Whoever ends a call says so, and looks afterwards whether any is watched. Here it is
            # the other way round, so that one of the two sees what the other has said.
            if self._running is not None:
                self._running.is_watched = True
            if not request.has_ended:
                self._add(request, callback)
            self._report()

    def _add(self, request: Request, callback: Callback) -> None:
        call, deadline_ns = request.call, request.deadline_ns
        watched = self._watched.get(call)
        if watched is None:
            shared = self._shared.get(call)
            schedule = None if shared is None else shared.schedule
            if shared is None and deadline_ns is None and self._words is None:
                return  # Nobody could ever say so.
            watched = self._watched[call] = Watched(deadline_ns, schedule)
        watched.callbacks.append(callback)
        if not self._is_watching:
            self._is_watching = True
            start_new_thread(self._watch, ())

    def end(self, call: int) -> None:
        """Take note that a call has ended, whose request says so already.

        What it wanted done is done by then if it was cancelled, and never afterwards.
        """
        with self._lock:
            watched = self._watched.get(call)
            is_due = watched is not None and self._is_due(call, watched)
            self._watched.pop(call, None)
            self._shared.pop(call, None)
            self._report()
        if watched is None:
            return
        if is_due:
            watched.call_back()
        with watched.lock:
            watched.callbacks.clear()

    def share(self, call: int, shared: Shared) -> None:
        """Take note that a call begins that shares its worker with others; it must be ended."""
        self._shared[call] = shared

    def mark_cancelled(self, call: int) -> None:
        """Take note that a call is cancelled of which no page says so; it must be ended."""
        self.share(call, Shared())
        self.cancel(call)

    def cancel(self, call: int) -> None:
        """Take note that the host has cancelled a call that shares its worker."""
        shared = self._shared.get(call)
        if shared is None:
            return
        shared.is_cancelled = True
        with self._lock:
            watched = self._watched.get(call)
        if watched is not None and watched.schedule is not None:
            watched.tell()

    def _is_due(self, call: int, watched: Watched) -> bool:
        deadline_ns = watched.deadline_ns
        if deadline_ns is not None and clock_gettime_ns(CLOCK_MONOTONIC) >= deadline_ns:
            return True
        return self.is_cancelled(call)

    def _report(self) -> None:
        if self._running is not None:
            self._running.is_watched = bool(self._watched)

    def _watch(self) -> None:
        while True:
            with self._lock:
                if not self._watched:
                    self._is_watching = False
                    return
                due = [each for call, each in self._watched.items() if self._is_due(call, each)]
            for watched in due:
                watched.tell()
            sleep(INTERVAL_SECONDS)


CANCELLATIONS = Cancellations()
