"""Runs one request when its turn has come; both loops do it this way."""

from __future__ import annotations

from time import CLOCK_MONOTONIC, clock_gettime_ns

from ._cancellation import CANCELLATIONS
from ._context import running_request
from ._dispatch import QUICK_NS, answer_with, close_unwanted, end_cancelled, send_items
from ._errors import FunctionNotFound
from ._failure import Failure
from ._interrupt import PureRunning
from ._protocol import Status
from ._state_page import RESUMED, STARTED, STARTED_NS, TAKEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._batch import Batching
    from ._dispatch import Answer, Dispatcher
    from ._fork import ForkGuard
    from ._interrupt import Running
    from ._registry import Function
    from ._request import Request
    from ._state_page import StatePage
    from ._stream import Stream


class Runner:
    """Decides what becomes of a request: run, or refused because its time is over."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        guard: ForkGuard,
        flush: Callable[[], None],
        page: StatePage | None = None,
        running: Running | None = None,
        gather: Callable[[Request, Batching], None] = lambda first, batching: None,
        is_in_order: bool = False,
    ) -> None:
        """`flush` writes the replies that are finished.

        `gather` reads what there is for the batch that begins with a request, which waits.
        `is_in_order` says that no call begins before one that came earlier.
        """
        self._dispatcher = dispatcher
        self._words = None if page is None else page.words
        self.running = PureRunning() if running is None else running
        CANCELLATIONS.report_to(self.running)
        self._guard = guard
        self._flush = flush
        self._gather = gather
        self._is_in_order = is_in_order

    def run(self, request: Request, now_ns: int) -> int:
        """Answer a request, and return what time it is then; `now_ns` is what time it is before.

        Raises `SystemExit` where the function does, after the replies before it are written.
        Does not return in a child that the function has forked.
        """
        connection = request.connection
        if request.deadline_ns is not None and now_ns >= request.deadline_ns:
            connection.fail(request.call, Status.DEADLINE, EXPIRED)
            return now_ns
        found = connection.answers.get(request.function) or self._find(request)
        if found is None:
            return now_ns
        function, answer = found
        words = self._words
        if function.is_quick:
            # To look whether a batch has overtaken it takes as long as to say that it is taken.
            if words is not None and (self._is_in_order or request.call > words[TAKEN]):
                words[TAKEN] = request.call
        elif function.batching is not None:
            return self._run_batch(request, function.batching, answer)
        elif words is not None and request.call < words[TAKEN]:
            return self._run_overtaken(request, answer)
        else:
            self._flush()
            now_ns = clock_gettime_ns(CLOCK_MONOTONIC)
            if words is not None:
                words[TAKEN] = request.call
                # Of a short call nobody asks when it began, and it would feel two more stores.
                words[STARTED_NS] = now_ns
                words[STARTED] = request.call
        try:
            answer(request)
        except SystemExit as exit:
            self._guard.leave_if_child(exit.code)
            self._flush()
            raise
        if self._guard.is_child:
            self._guard.leave_if_child()
        if function.is_stream:
            self._note_end(request)
        else:
            request.has_ended = True
            if self.running.is_watched:
                CANCELLATIONS.end(request.call)
        ended_ns = clock_gettime_ns(CLOCK_MONOTONIC)
        function.is_quick = ended_ns - now_ns < QUICK_NS
        return ended_ns

    def _run_batch(self, first: Request, batching: Batching, answer: Answer) -> int:
        """Answer a request together with others of its function; return what time it is then."""
        from ._batch_run import take_batch

        connection = first.connection
        self._flush()
        # It waits with the others, because what is read next may cancel it.
        connection.requests.appendleft(first)
        self._gather(first, batching)
        now_ns = clock_gettime_ns(CLOCK_MONOTONIC)
        batch, overtaken = take_batch(connection, first.function, batching.size, now_ns)
        if connection.has_ended or not batch:
            return now_ns
        self._run_out_of_turn(batch[-1].call, now_ns, answer, batch)
        for each in overtaken:
            found = connection.answers.get(each.function)
            if found is not None and each.call < batch[-1].call:
                # So that its turn is not taken for that of the latest call.
                found[0].is_quick = False
        return clock_gettime_ns(CLOCK_MONOTONIC)

    def _run_overtaken(self, request: Request, answer: Answer) -> int:
        """Answer a request that a batch has overtaken; return what time it is then."""
        self._flush()
        self._run_out_of_turn(request.call, clock_gettime_ns(CLOCK_MONOTONIC), answer, request)
        self._note_end(request)
        return clock_gettime_ns(CLOCK_MONOTONIC)

    def _run_out_of_turn(self, call: int, now_ns: int, answer: Answer, what: object) -> None:
        """Answer what may be older than calls that were begun; `call` is its greatest id."""
        words = self._words
        if words is not None:
            if call > words[TAKEN]:
                words[TAKEN] = call
                words[STARTED_NS] = now_ns
                words[STARTED] = call
            else:
                words[STARTED_NS] = now_ns
                words[RESUMED] = call
        try:
            answer(what)
        except SystemExit as exit:
            self._guard.leave_if_child(exit.code)
            self._flush()
            raise
        if self._guard.is_child:
            self._guard.leave_if_child()
        if words is not None:
            words[RESUMED] = 0

    def go_on(self, stream: Stream, now_ns: int) -> int:
        """Send some items of a stream, or end it, and return what time it is then.

        Raises `SystemExit` where the function does, after what is finished is written. Does not
        return in a child that the function has forked.
        """
        request = stream.request
        words = self._words
        if stream.burst == 1:
            self._flush()
            now_ns = clock_gettime_ns(CLOCK_MONOTONIC)
            if request.connection.streams.get(request.call) is not stream:
                return now_ns  # Its host was found to be gone, and it is closed.
        if words is not None:
            words[STARTED_NS] = now_ns
            words[RESUMED] = request.call
        running_request.set(request)
        try:
            if stream.is_cancelled:
                end_cancelled(stream, self.running)
            else:
                send_items(stream, self.running, self._guard, now_ns)
        except SystemExit as exit:
            self._guard.leave_if_child(exit.code)
            self._flush()
            raise
        if self._guard.is_child:
            self._guard.leave_if_child()
        self._note_end(request)
        if words is not None:
            words[RESUMED] = 0
        self._flush()
        stream.is_ready = False
        if request.call in request.connection.streams:
            request.connection.set_moving(stream)
        return clock_gettime_ns(CLOCK_MONOTONIC)

    def abandon(self, stream: Stream) -> None:
        """Close a stream whose host is gone; its function may clean up."""
        running_request.set(stream.request)
        close_unwanted(stream, self.running)

    def _note_end(self, request: Request) -> None:
        """Take note that a call has ended, unless it goes on as a stream."""
        if request.call not in request.connection.streams:
            request.has_ended = True
            if self.running.is_watched:
                CANCELLATIONS.end(request.call)

    def _find(self, request: Request) -> tuple[Function, Answer] | None:
        """Find the function that a request calls for the first time, or say that there is none."""
        connection = request.connection
        try:
            function = self._dispatcher.find(request.function)
        except FunctionNotFound as error:
            failure = Failure("FunctionNotFound", str(error))
            connection.fail(request.call, Status.FUNCTION_NOT_FOUND, failure)
            return None
        make = answer_with
        if function.batching is not None:
            from ._batch_run import answer_batch_with as make
        found = function, make(function, connection.codec, self.running)
        connection.answers[request.function] = found
        return found


EXPIRED = Failure("DeadlineExceeded", "the deadline passed before the call began")
