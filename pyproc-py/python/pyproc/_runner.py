"""Runs one request when its turn has come; both loops do it this way."""

from __future__ import annotations

from ._context import now_ns
from ._errors import FunctionNotFound
from ._failure import Failure
from ._protocol import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._dispatch import Dispatcher
    from ._fork import ForkGuard
    from ._request import Request

QUICK_NS = 200_000
"""Calls that take less are answered together; a longer one keeps no finished reply waiting.

It is a small multiple of what it costs to wake the host for each reply.
"""


class Runner:
    """Decides what becomes of a request: run, or refused because its time is over."""

    def __init__(self, dispatcher: Dispatcher, guard: ForkGuard, flush: Callable[[], None]) -> None:
        """`flush` writes the replies that are finished."""
        self._dispatcher = dispatcher
        self._guard = guard
        self._flush = flush

    def run(self, request: Request) -> None:
        """Answer a request.

        Raises `SystemExit` where the function does, after the replies before it are written.
        Does not return in a child that the function has forked.
        """
        connection = request.connection
        began = now_ns()
        if request.deadline_ns is not None and began >= request.deadline_ns:
            connection.fail(request.call, Status.DEADLINE, _EXPIRED)
            return
        try:
            function = self._dispatcher.find(request.function)
        except FunctionNotFound as error:
            failure = Failure("FunctionNotFound", str(error))
            connection.fail(request.call, Status.FUNCTION_NOT_FOUND, failure)
            return
        if not function.is_quick:
            self._flush()
            began = now_ns()
        try:
            self._dispatcher.answer(request, function)
        except SystemExit as exit:
            self._guard.leave_if_child(exit.code)
            self._flush()
            raise
        self._guard.leave_if_child()
        function.is_quick = now_ns() - began < QUICK_NS


_EXPIRED = Failure("DeadlineExceeded", "the deadline passed before the call began")
