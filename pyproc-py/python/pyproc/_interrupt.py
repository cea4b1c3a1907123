"""Ends the function of the running call when the host asks for it.

The host writes the id of the call to the state page and sends SIGURG, which processes without a
handler ignore, again and again until the call ends. The handler raises `Interrupted` if that call
is the one that runs, and does so once: a function that cleans up is left in peace.

An exception that is raised in a `__del__` or in the callback of a weak reference goes nowhere:
Python hands it to `sys.unraisablehook` and carries on. So that hook makes the call interruptible
again, and the next signal of the host raises the exception anew.
"""

from __future__ import annotations

import signal
import sys

from ._errors import Interrupted
from ._state_page import INTERRUPT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Protocol

    class Running(Protocol):
        """What both loops have: `PureRunning`, or its like in the compiled core."""

        call: int
        hit: int
        is_watched: bool


class PureRunning:
    """Which call may be interrupted now.

    Whoever runs a call sets `call` to its id and back to 0, both within two nested `try`s. The
    handler raises only in between, so nothing outside of them is ever interrupted. The outer one
    is for an exception that comes as the inner one is left; no second one can follow.
    """

    __slots__ = ("call", "hit", "is_watched")

    call: int
    """Its id, or 0 where none may be."""

    hit: int
    """The id of the call that was interrupted last."""

    is_watched: bool
    """Whether any call is to be told of its end, because it has asked for it."""

    def __init__(self) -> None:
        self.call = 0
        self.hit = 0
        self.is_watched = False


class Interrupt:
    """Handles the host's signal."""

    __slots__ = ("_running", "_words")

    def __init__(self, running: Running, words: memoryview) -> None:
        """`words` are those of the state page."""
        self._running = running
        self._words = words

    def install(self) -> None:
        """Handle the signal from now on. Only the main thread may."""
        signal.signal(signal.SIGURG, self._handle)

    def abandon(self) -> None:
        """In a forked child, forget the signal: the page is not there."""
        signal.signal(signal.SIGURG, signal.SIG_DFL)

    def rearm(self) -> None:
        """Let the call be interrupted again: the exception that it was hit with is lost."""
        if self._running.hit == self._running.call:
            self._running.hit = 0

    def _handle(self, number: int, frame: FrameType | None) -> None:
        running = self._running
        call = running.call
        if not call or running.hit == call or self._words[INTERRUPT] != call:
            return
        if _is_within_logging(frame) or _must_not_be_torn(frame):
            return  # The host sends the signal again.
        running.hit = call
        # Only now, because user code may have put a hook of its own there meanwhile.
        if not isinstance(sys.unraisablehook, _UnraisableHook):
            sys.unraisablehook = _UnraisableHook(self)
        raise Interrupted("the host has interrupted the call")


def was_interrupted(running: Running, call: int, error: BaseException) -> bool:
    """Whether this is the exception with which the host has ended this call."""
    return isinstance(error, Interrupted) and running.hit == call


class _UnraisableHook:
    """Stands before another `sys.unraisablehook`, and leaves to it what is not ours."""

    __slots__ = ("_inner", "_interrupt")

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt
        self._inner = sys.unraisablehook

    def __call__(self, unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, Interrupted):
            self._interrupt.rearm()
        else:
            self._inner(unraisable)


_WHOLE = {
    __name__,
    f"{__package__}._cancellation",
    f"{__package__}._fork",
    f"{__package__}._lane",
    f"{__package__}._logging_hook",
}
"""The modules that run on behalf of a function and must come to their end.

A log record that is half written would end the connection, and a lock that is not given back would
hold up the next call. What is raised within the hook above
would be lost without a word, and so it would be in the hooks of a fork. A `logging` that is set up
by half would send nothing.
"""


def _is_within_logging(frame: FrameType | None) -> bool:
    """Whether this is a frame of `logging` itself, which may hold a lock and no `try` yet.

    Its locks are those of the whole process: a lost one would stop every record from then on. Not
    so for the frames that it calls, which it expects to raise; and not for `threading`, in whose
    frames functions wait for other threads, maybe for ever.
    """
    return frame is not None and frame.f_globals.get("__name__") == "logging"


def _must_not_be_torn(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") in _WHOLE:
            return True
        frame = frame.f_back
    return False
