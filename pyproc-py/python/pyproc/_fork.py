"""Keeps children that user code forks from acting as the worker.

A child that returned into the loop would read requests and answer them a second time. So it
loses the connection as it comes into being, and ends as soon as it comes back to the loop.
"""

from __future__ import annotations

import os
import signal
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class ForkGuard:
    """Knows whether this process is a child of the one that made it."""

    def __init__(self) -> None:
        self.is_child = False
        self._closers: list[Callable[[], object]] = []
        _guards.append(self)

    def add(self, closer: Callable[[], object]) -> None:
        """Have `closer` called in each child, to take away what belongs to the worker."""
        self._closers.append(closer)

    def leave_if_child(self, code: object = 0) -> None:
        """End the process if it is a child; `code` is as in `sys.exit`."""
        if self.is_child:
            os._exit(code if isinstance(code, int) else int(code is not None))

    def close(self) -> None:
        """Stop guarding."""
        _guards.remove(self)

    def _enter_child(self) -> None:
        self.is_child = True
        for closer in self._closers:
            try:
                closer()
            except OSError:
                pass


_guards: list[ForkGuard] = []
_masks: dict[int, set[int | signal.Signals]] = {}
"""The signals that were blocked in each thread before it began to fork."""


def _before() -> None:
    # A signal that reached the child while it still has the worker's handlers would be lost:
    # Python forgets it. So it waits until the child has its own.
    if _guards:
        held = {signal.SIGTERM, signal.SIGINT, signal.SIGURG}
        _masks[get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, held)


def _after() -> None:
    mask = _masks.pop(get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_in_child() -> None:
    for guard in _guards:
        guard._enter_child()
    _after()


# There is no way to unregister, so it is done once for all guards.
os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
