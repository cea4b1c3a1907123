"""Runs the calls of a worker that has async functions: many at once, on one event loop."""

from __future__ import annotations

from collections import deque

from ._async_calls import AsyncCalls
from ._context import now_ns, running_request
from ._dispatch import QUICK_NS
from ._event_loop import cancel_all
from ._lane import MAX_UNWRITTEN_BYTES
from ._protocol import ProtocolError, Status
from ._runner import EXPIRED, Runner
from ._state_page import CANCEL_SEQ, NO_WORDS
from ._steps import Marks
from ._wait import wait_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

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
    from ._stream import Stream
    from ._threads import Threads

WRITE_BYTES = 4096
"""More than this is written at once; less of it waits for the others of its turn.

The host has something to do then while the calls behind it run.
"""


LOOK_MS = 5
"""How often it is looked what has ended in threads while a plain function waits for the host."""


class AsyncLoop:
    """Reads, begins and writes, in the turns of an event loop.

    Calls are begun in the order in which they come. Those of async functions are tasks from then
    on. Plain functions run in threads, where there are any; otherwise one at a time, outside of the
    event loop: it stands still for them, and has a turn after each that was not short. So they may
    well have an event loop of their own. Generators and batches run there in any case.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        lane: Lane,
        connection: Connection,
        dispatcher: Dispatcher,
        stop: StopSignal,
        guard: ForkGuard,
        page: StatePage | None,
        running: Running,
        threads: int = 1,
    ) -> None:
        """`threads` is how many plain functions may run at once; with 1, none runs in a thread."""
        self._loop = loop
        self._lane = lane
        self._connection = connection
        self._functions = dispatcher.functions
        self._stop = stop
        self._guard = guard
        self._words = NO_WORDS if page is None else page.words
        self._cancel_seq = self._words[CANCEL_SEQ]
        self._runner = Runner(dispatcher, guard, self._flush, page, running, self._gather)
        marks = Marks(self._words, running, guard)
        self._calls = AsyncCalls(loop, connection, marks, self._flush, self._end, self._settle)
        self._threads: Threads | None = None
        if threads > 1:
            # It takes threads to be started.
            from ._threads import Threads

            connection.has_threads = True
            self._threads = Threads(threads, connection, self._words, guard, self._wake, self._end)
        connection.cancel_running = self._cancel
        connection.wait = self._wait_within
        self._moving: deque[Stream] = deque()
        """The streams of plain generators that can go on."""
        self._is_streams_turn = False
        self._will_flush = False
        self._is_waking = False
        self._waits_for_room = False
        self._is_reading = False
        self._is_leaving = False
        self._is_over = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do what `SyncLoop.run` does.

        Where the host has gone, or a function ends the process, the calls that run are cancelled.
        """
        loop = self._loop
        self._lane.never_wait(self._ask_for_room)
        loop.add_reader(self._stop.fileno(), self._attempt, self._heed_stop)
        self._set_reading(True)
        loop.call_soon(self._attempt, self._flush)
        try:
            while not self._is_over:
                self._turn()
                if self._error is not None:
                    raise self._error
                self._run_plain()
        except SystemExit:
            self._flush()
            raise
        finally:
            self._is_over = True
            self._set_reading(False)
            loop.remove_reader(self._stop.fileno())
            loop.remove_writer(self._lane.fileno())
            self._lane.never_wait(None)
            cancel_all(loop, self._calls.tasks)
            if self._threads is not None:
                self._threads.leave()
        if self._error is not None:
            raise self._error

    def _turn(self) -> None:
        """Have the event loop run until somebody leaves it."""
        try:
            self._loop.run_forever()
        except KeyboardInterrupt:
            # As in a plain function, it ends the call in whose task it was raised.
            if not len(self._calls):
                raise
        finally:
            self._is_leaving = False

    def _wait_within(self) -> None:
        """Wait for the host while a plain function does, for which the event loop stands still."""
        running = self._runner.running
        call, running.call = running.call, 0
        try:
            if self._threads is not None:
                self._threads.collect()
            self._flush()
            self._lane.write_now()
            count = self._lane.read_now(self._connection.room)
            self._connection.arrived(count)
        except ProtocolError as violation:
            self._error = violation
            self._connection.has_ended = True
        finally:
            running.call = call
        if self._connection.has_ended:
            raise ConnectionAbortedError("the host has closed the connection")
        if count is None:
            # Nobody wakes this when a call has ended in a thread.
            longest_ms = LOOK_MS if self._threads is not None and len(self._threads) else None
            to_write = self._lane.unwritten_bytes > 0
            wait_for(self._lane.fileno(), to_write=to_write, longest_ms=longest_ms)

    def _attempt(self, action: Callable[[], None]) -> None:
        """Do something in a turn of the event loop, which keeps no exception to itself."""
        try:
            action()
        except BaseException as error:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        """Leave the event loop with an exception."""
        self._error = self._error or error
        self._leave()

    def _leave(self) -> None:
        """Leave the event loop at the end of its turn, or of the next one where it stands still."""
        if not self._is_leaving and not self._is_over:
            self._is_leaving = True
            self._loop.stop()

    def _read(self) -> None:
        self._connection.arrived(self._lane.read_now(self._connection.room))
        self._begin()

    def _gather(self, first: Request, batching: Batching) -> None:
        """Read what there is for a batch. Async calls go on meanwhile, so it waits for nothing."""
        self._lane.read_all(self._connection)

    def _begin(self) -> None:
        """Begin the calls that wait, as far as they are async, and leave the loop for others."""
        if self._is_over:
            return  # The loop turns once more, for what cleans up.
        while (request := self._next()) is not None:
            function = self._function(request)
            if function is None or not self._is_shared(function):
                break
            self._connection.requests.popleft()
            self._begin_shared(request, function)
        self._settle()
        self._leave_for_plain()

    def _is_shared(self, function: Function) -> bool:
        """Whether its calls run beside others."""
        if function.is_async:
            return True
        return self._threads is not None and not function.is_stream and function.batching is None

    def _begin_shared(self, request: Request, function: Function) -> None:
        if self._threads is not None and not function.is_async:
            self._threads.begin(request, function)
        elif request.deadline_ns is not None and now_ns() >= request.deadline_ns:
            self._connection.fail(request.call, Status.DEADLINE, EXPIRED)
        else:
            self._calls.begin(request, function)

    def _next(self) -> Request | None:
        """Return the call whose turn it is, if any may be begun now."""
        if self._words[CANCEL_SEQ] != self._cancel_seq:
            # The host says so when it has cancelled some that wait; it is read before them.
            self._cancel_seq = self._words[CANCEL_SEQ]
            self._lane.read_all(self._connection)
        moving = self._connection.moving
        while moving:
            stream = moving.popleft()
            if stream.request.call in self._calls:
                self._calls.go_on(stream)
            elif self._is_there(stream):
                self._moving.append(stream)
        if self._lane.unwritten_bytes > MAX_UNWRITTEN_BYTES:
            # Nothing is read and nothing begun until the host has read.
            self._set_reading(False)
            return None
        requests = self._connection.requests
        return requests[0] if requests else None

    def _is_there(self, stream: Stream) -> bool:
        """Whether a stream has not ended since the host said something about it."""
        return self._connection.streams.get(stream.request.call) is stream

    def _function(self, request: Request) -> Function | None:
        place = request.function
        if isinstance(place, int) and place < len(self._functions):
            return self._functions[place]
        return None

    @property
    def _has_plain(self) -> bool:
        """Whether something is to be run outside of the event loop."""
        connection = self._connection
        return self._is_reading and bool(self._moving or connection.moving or connection.requests)

    def _run_plain(self) -> None:
        """Run plain functions and generators for a while; async calls between them are begun."""
        connection, calls = self._connection, self._calls
        now = turn_began = now_ns()
        while calls.have_begun and now - turn_began < QUICK_NS and not connection.has_ended:
            request = self._next()
            if self._moving and (self._is_streams_turn or request is None):
                self._is_streams_turn = False
                stream = self._moving.popleft()
                if self._is_there(stream):
                    now = self._runner.go_on(stream, now)
                continue
            if request is None:
                break
            connection.requests.popleft()
            function = self._function(request)
            if function is not None and self._is_shared(function):
                self._begin_shared(request, function)
            else:
                self._is_streams_turn = True
                now = self._runner.run(request, now)
        running_request.set(None)
        self._settle()
        self._leave_for_plain()

    def _leave_for_plain(self) -> None:
        """Leave the event loop if something waits to run outside of it.

        It has one turn before; and whoever was begun first has its first step first.
        """
        if not self._has_plain:
            return
        if self._calls.have_begun:
            self._leave()
        else:
            self._loop.call_soon(self._leave)

    def _settle(self) -> None:
        """See to it that what is finished is written, and that the loop ends when all is done."""
        connection = self._connection
        if self._is_over:
            return  # The host is told nothing of the calls that are cancelled then.
        if connection.output:
            if not len(self._calls) or connection.output_bytes > WRITE_BYTES:
                self._flush()
            elif not self._will_flush:
                self._will_flush = True
                self._loop.call_soon(self._attempt, self._flush)
        if connection.has_ended:
            self._be_over()
        elif connection.is_draining and not self._has_calls:
            # What crossed the drain on its way is refused rather than left unanswered.
            self._lane.read_all(connection)
            self._flush()
            self._be_over()

    @property
    def _has_calls(self) -> bool:
        connection = self._connection
        return bool(
            connection.requests
            or connection.streams
            or len(self._calls)
            or (self._threads is not None and len(self._threads))
        )

    def _cancel(self, call: int) -> None:
        """Cancel a call that has been begun."""
        if call in self._calls:
            self._calls.cancel(call)
        elif self._threads is not None:
            self._threads.cancel(call)

    def _wake(self) -> None:
        """Have the event loop see to the threads; any of them may ask."""
        if not self._is_waking:
            self._is_waking = True
            try:
                self._loop.call_soon_threadsafe(self._attempt, self._collect)
            except RuntimeError:
                pass  # It is closed: nobody waits for an answer.

    def _collect(self) -> None:
        """Answer what has ended in threads, all of it together."""
        # Whoever ends from now on wakes the loop again.
        self._is_waking = False
        # The host may have cancelled some that wait for a thread.
        self._begin()
        if self._threads is not None and not self._is_over:
            self._threads.collect()
            self._flush()
            self._settle()

    def _be_over(self) -> None:
        if self._loop.is_running():
            self._leave()
        self._is_over = True

    def _heed_stop(self) -> None:
        self._stop.clear()
        if self._stop.requested and not self._connection.is_draining:
            # What has arrived by now still counts as queued.
            self._lane.read_all(self._connection)
            self._connection.drain()
            self._flush()
            self._begin()

    def _flush(self) -> None:
        self._will_flush = False
        if self._connection.output and not self._is_over:
            self._lane.write(*self._connection.take_pieces())

    def _set_reading(self, wanted: bool) -> None:
        if wanted == self._is_reading:
            return
        self._is_reading = wanted
        if wanted:
            self._loop.add_reader(self._lane.fileno(), self._attempt, self._read)
        else:
            self._loop.remove_reader(self._lane.fileno())

    def _ask_for_room(self) -> None:
        """Have the lane written to when the host has read; any thread may ask."""
        if not self._waits_for_room:
            self._waits_for_room = True
            self._loop.call_soon_threadsafe(
                self._loop.add_writer, self._lane.fileno(), self._attempt, self._write
            )

    def _write(self) -> None:
        # Whoever finds no room from now on asks again.
        self._waits_for_room = False
        if self._lane.write_now():
            self._loop.remove_writer(self._lane.fileno())
        if self._is_over or self._is_reading:
            return
        if self._lane.unwritten_bytes <= MAX_UNWRITTEN_BYTES:
            self._set_reading(True)
            self._begin()
