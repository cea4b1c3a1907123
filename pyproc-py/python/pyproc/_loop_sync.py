"""Runs the calls of one blocking connection, one after the other."""

from __future__ import annotations

from ._context import now_ns, running_request
from ._dispatch import QUICK_NS
from ._protocol import ProtocolError
from ._runner import Runner
from ._spin import Spin
from ._state_page import CANCEL_SEQ, NO_WORDS
from ._wait import wait_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._batch import Batching
    from ._connection import Connection
    from ._dispatch import Dispatcher
    from ._fork import ForkGuard
    from ._interrupt import Running
    from ._lane import Lane
    from ._registry import Function
    from ._request import Request
    from ._signals import StopSignal
    from ._state_page import StatePage

MAX_OUTPUT_BYTES = 256 * 1024
"""More than this is written before the next call, however quick the calls are."""


def is_patient(functions: Iterable[Function]) -> bool:
    """Whether one of the functions has the worker wait for more calls."""
    return any(each.batching is not None and each.batching.max_wait_ns for each in functions)


class SyncLoop:
    """Reads, runs, and writes, in one thread."""

    def __init__(
        self,
        lane: Lane,
        connection: Connection,
        dispatcher: Dispatcher,
        stop: StopSignal,
        guard: ForkGuard,
        spin_ns: int = 0,
        page: StatePage | None = None,
        running: Running | None = None,
    ) -> None:
        """`spin_ns` is how long to look for requests, at most, before going to sleep."""
        self._lane = lane
        self._spin = Spin(spin_ns)
        self._connection = connection
        self._stop = stop
        is_in_order = all(each.batching is None for each in dispatcher.functions)
        self._runner = Runner(
            dispatcher, guard, self._flush, page, running, self._gather, is_in_order
        )
        self._violation: ProtocolError | None = None
        """How the host broke the protocol while a function waited for it."""
        connection.wait = self._wait_within
        self._words = NO_WORDS if page is None else page.words
        self._woken_ns = 0
        """When something came last that was waited for."""
        self._is_patient = is_patient(dispatcher.functions)

    def run(self) -> None:
        """Answer requests until the host closes the connection, or until a drain is complete.

        All answers are written when a drain is complete. A host that closes waits for no answers:
        what is unanswered or unwritten by then stays so. Raises `ProtocolError` for a host that
        breaks the protocol, and `OSError` for a connection that breaks otherwise.
        """
        lane, connection = self._lane, self._connection
        requests, moving = connection.requests, connection.moving
        run = self._runner.run
        is_streams_turn = False
        words = self._words
        is_patient = self._is_patient
        cancel_seq = words[CANCEL_SEQ]
        now = turn_began = now_ns()
        while not connection.has_ended:
            if self._stop.requested and not connection.is_draining:
                # What has arrived by now still counts as queued.
                lane.read_all(connection)
                connection.drain()
            if moving and (is_streams_turn or not requests):
                is_streams_turn = False
                now = self._runner.go_on(moving.popleft(), now)
            elif requests:
                is_streams_turn = True
                now = run(requests.popleft(), now)
            else:
                running_request.set(None)
                if is_patient and now > turn_began:
                    # What has come meanwhile has waited already, and did not find the worker idle.
                    lane.read_all(connection)
                    turn_began = now
                    if requests or moving or connection.has_ended:
                        continue
                self._flush()
                if connection.is_draining and not connection.streams:
                    # What crossed the drain on its way is refused rather than left unanswered.
                    lane.read_all(connection)
                    self._flush()
                    return
                connection.arrived(lane.read(connection.room, self._spin))
                now = turn_began = self._woken_ns = now_ns()
                continue
            if connection.output_bytes > MAX_OUTPUT_BYTES:
                self._flush()
                # The host may have taken its time to read, and the next deadline counts that.
                now = now_ns()
            if not requests and not moving:
                continue
            if now - turn_began > QUICK_NS:
                # Queued calls may have been cancelled, and finished ones are waited for.
                self._flush()
            elif words[CANCEL_SEQ] == cancel_seq:
                continue
            # The host says so here when it has cancelled some that wait; it is read before them.
            cancel_seq = words[CANCEL_SEQ]
            lane.read_all(connection)
            now = turn_began = now_ns()
        if self._violation is not None:
            raise self._violation

    def _wait_within(self) -> None:
        """Wait for the host while a function does; only in the wait itself it is interrupted.

        What comes for others is queued: they have their turns when the function has returned.
        """
        running = self._runner.running
        call, running.call = running.call, 0
        try:
            self._flush()
            count = self._lane.read_now(self._connection.room)
            self._connection.arrived(count)
        except ProtocolError as violation:
            self._violation = violation
            self._connection.has_ended = True
        finally:
            running.call = call
        if self._connection.has_ended:
            raise ConnectionAbortedError("the host has closed the connection")
        if count is None:
            wait_for(self._lane.fileno())

    def _gather(self, first: Request, batching: Batching) -> None:
        """Read what there is for a batch, and wait for more if the worker was idle until now."""
        from ._batch_run import is_short

        self._lane.read_all(self._connection)
        give_up = self._woken_ns + batching.max_wait_ns
        while is_short(self._connection, first, batching.size) and not self._stop.requested:
            left = give_up - now_ns()
            if left <= 0:
                return
            self._connection.arrived(self._lane.read_within(self._connection.room, left))

    def _flush(self) -> None:
        if self._connection.output:
            self._lane.write(*self._connection.take_pieces())
