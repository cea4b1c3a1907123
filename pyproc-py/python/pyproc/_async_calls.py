"""Runs the calls of async functions: each in a task of its own, with `contextvars` of its own."""

from __future__ import annotations

import sys
from asyncio import CancelledError, Task
from contextvars import copy_context
from time import CLOCK_MONOTONIC, clock_gettime_ns
from types import coroutine

from ._cancellation import CANCELLATIONS, Shared
from ._connection import refusal
from ._context import running_request
from ._dispatch import ARGUMENTS, FUNCTION, QUICK_NS, RESULT, arguments_of, explain
from ._errors import Interrupted
from ._protocol import Status
from ._state_page import TAKEN
from ._steps import Marks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator
    from typing import Any

    from ._async_items import AsyncItems
    from ._cancellation import Schedule
    from ._connection import Connection
    from ._registry import Function
    from ._request import Request
    from ._stream import Stream


class AsyncCall(Shared):
    """One call of an async function, from its turn to its answer."""

    __slots__ = ("function", "has_begun", "request", "stage", "task", "waiter")

    request: Request
    function: Function
    task: Task[None]

    stage: int
    """How far it has come, as the dispatcher numbers it."""

    has_begun: bool
    """Whether its task has had its first step; one that is cancelled before has none."""

    waiter: Future[None] | None
    """What a stream waits for that has no credit."""

    def __init__(self, request: Request, function: Function, schedule: Schedule) -> None:
        super().__init__(schedule)
        self.request = request
        self.function = function
        self.stage = ARGUMENTS
        self.has_begun = False
        self.waiter = None


class AsyncCalls:
    """The calls of async functions that one connection has in flight."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        connection: Connection,
        marks: Marks,
        flush: Callable[[], None],
        end: Callable[[BaseException], None],
        rest: Callable[[], None],
    ) -> None:
        """`flush` writes what is finished.

        `end` is told of an exception that ends the worker, and `rest` that something is finished.
        """
        self._loop = loop
        self._connection = connection
        self._marks = marks
        self._flush = flush
        self._end = end
        self._rest = rest
        self._context = copy_context()
        """What tasks begin with a copy of: what the module has set, and no call."""
        self._calls: dict[int, AsyncCall] = {}
        self._new: list[AsyncCall] = []
        codec = connection.codec
        self._decode: Callable[[Any], Any] = codec.decode
        self._dump, self._encode = codec.dump, codec.encode
        self._factory: Any = loop.get_task_factory()
        """What the script has had tasks made by, if anything."""
        make_task: Any = self._make_task
        loop.set_task_factory(make_task)

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, call: int) -> bool:
        return call in self._calls

    @property
    def have_begun(self) -> bool:
        """Whether each of them has had its first step, or will have none."""
        return all(call.has_begun or call.task.done() for call in self._new)

    @property
    def tasks(self) -> list[Task[None]]:
        """What runs them."""
        return [call.task for call in self._calls.values()]

    def begin(self, request: Request, function: Function) -> None:
        """Begin a call; its task has its first step when the event loop has its next turn."""
        call = AsyncCall(request, function, self._loop.call_soon_threadsafe)
        stream = self._connection.streams.get(request.call)
        if stream is not None:
            answer = self._answer_stream(call, stream)
        elif function.is_stream:
            self._connection.begin(request, iter(()))
            return
        else:
            answer = self._answer(call)
        words = self._marks.words
        # A batch may have overtaken it.
        if request.call > words[TAKEN]:
            words[TAKEN] = request.call
        CANCELLATIONS.share(request.call, call)
        call.task = self._context.run(Task, answer, loop=self._loop, name=function.name)
        self._calls[request.call] = call
        if not self._new:
            self._loop.call_soon(self._check_begun)
        self._new.append(call)

    def cancel(self, call: int) -> None:
        """Cancel a call, if it is one of these and has not ended."""
        found = self._calls.get(call)
        if found is not None and not found.is_cancelled:
            CANCELLATIONS.cancel(call)
            found.task.cancel()

    def go_on(self, stream: Stream) -> None:
        """Take note that the host has granted credit to a stream, or wants no more of it."""
        stream.is_ready = False
        call = self._calls[stream.request.call]
        if stream.is_cancelled:
            self.cancel(stream.request.call)
        elif call.waiter is not None and not call.waiter.done():
            call.waiter.set_result(None)

    def _check_begun(self) -> None:
        """Answer the calls whose tasks were cancelled before their first step, by whomever."""
        new, self._new = self._new, []
        for call in new:
            if call.has_begun:
                continue
            if call.task.done():
                self._fail(call, CancelledError())
                self._ended(call)
            else:
                self._new.append(call)
        if self._new:
            # They were begun in the same turn as the first of them, and behind it.
            self._loop.call_soon(self._check_begun)

    async def _answer(self, call: AsyncCall) -> None:
        """Run a call and answer it, whatever its function does.

        Only `SystemExit` passes through: whoever says that the process should end is obeyed.
        """
        call.has_begun = True
        request = call.request
        running_request.set(request)
        try:
            body = await self._marks.steps(call, self._value(call))
            if request.reply_metadata is None:
                self._connection.reply(request.call, body)
            else:
                self._connection.reply_accompanied(request, body)
        except BaseException as error:
            self._fail(call, error)
        self._ended(call)

    async def _value(self, call: AsyncCall) -> bytes:
        """Return the encoded result of a call."""
        arguments, keywords = arguments_of(
            call.request, call.function.binding, self._decode, self._begin_items
        )
        call.stage = FUNCTION
        awaited: Any = call.function.call(*arguments, **keywords)
        result = await awaited
        call.stage = RESULT
        return self._encode(self._dump(result))

    def _begin_items(self, items: AsyncItems) -> None:
        items.begin_async(self._decode, self._marks.running, self._loop, self._rest)

    async def _answer_stream(self, call: AsyncCall, stream: Stream) -> None:
        """Do the same for a call that is answered by a stream."""
        call.has_begun = True
        request = call.request
        running_request.set(request)
        try:
            await self._marks.steps(call, self._send_items(call, stream))
        except BaseException as error:
            self._fail(call, error)
        else:
            if request.call in self._connection.streams:
                self._connection.end(stream)
        self._ended(call)

    async def _send_items(self, call: AsyncCall, stream: Stream) -> None:
        """Send the items of a stream as it has credit, and close its generator in the end."""
        arguments, keywords = arguments_of(
            call.request, call.function.binding, self._decode, self._begin_items
        )
        call.stage = FUNCTION
        yielded: Any = call.function.call(*arguments, **keywords)
        items: AsyncIterator[Any] = aiter(yielded)
        # Nothing of it has run, and nothing does before there is credit.
        stream.items = iter(())
        try:
            await self._send_each(call, stream, items)
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    async def _send_each(self, call: AsyncCall, stream: Stream, items: AsyncIterator[Any]) -> None:
        """As `pyproc._dispatch.send_items` does, but other calls run while an item is awaited."""
        connection = self._connection
        began_ns = clock_gettime_ns(CLOCK_MONOTONIC)
        left = stream.burst
        while True:
            while stream.credit <= 0 and not call.is_cancelled:
                await self._credit(call)
            call.stage = FUNCTION
            try:
                item = None if call.is_cancelled else await anext(items)
            except StopAsyncIteration:
                return
            if call.is_cancelled:
                # It may have swallowed that, and would yield for ever.
                raise CancelledError
            call.stage = RESULT
            body = self._encode(self._dump(item))
            self._send(stream, body)
            if stream.request.call not in connection.streams:
                # The item was too long.
                return
            left -= 1
            is_quick = clock_gettime_ns(CLOCK_MONOTONIC) - began_ns <= QUICK_NS
            if is_quick and left:
                continue
            stream.set_pace(is_quick=is_quick)
            self._write()
            await _turn()
            began_ns, left = clock_gettime_ns(CLOCK_MONOTONIC), stream.burst

    def _send(self, stream: Stream, body: bytes) -> None:
        """Send an item. An interrupt that comes meanwhile would tear the frames of all calls."""
        running = self._marks.running
        call, running.call = running.call, 0
        try:
            self._connection.send_item(stream, body)
            # It is written in this turn, should the next one be awaited for long.
            self._rest()
        finally:
            running.call = call

    def _write(self) -> None:
        """Write what is finished, and let no interrupt tear it."""
        running = self._marks.running
        call, running.call = running.call, 0
        try:
            self._flush()
        finally:
            running.call = call

    async def _credit(self, call: AsyncCall) -> None:
        """Set a stream aside until it has credit."""
        self._write()
        call.waiter = self._loop.create_future()
        try:
            await call.waiter
        finally:
            call.waiter = None

    def _fail(self, call: AsyncCall, error: BaseException) -> None:
        """Answer a call with the exception that ended it."""
        request, connection = call.request, self._connection
        running = self._marks.running
        running.call = 0
        is_stream = call.function.is_stream
        if isinstance(error, SystemExit):
            self._end(error)
        elif is_stream and (
            request.call not in connection.streams
            or (call.is_cancelled and not isinstance(error, CancelledError))
        ):
            # As with a plain generator, what cleaning up raises is no answer to anybody.
            sys.excepthook(type(error), error, error.__traceback__)
            if request.call in connection.streams:
                connection.fail(request.call, Status.CANCELLED, refusal(_CANCELLED))
        elif call.is_cancelled and isinstance(error, CancelledError):
            message = _CANCELLED if call.has_begun else f"{_CANCELLED} before it began"
            connection.fail(request.call, Status.CANCELLED, refusal(message))
        else:
            status, failure = explain(error, call.stage)
            if running.hit == request.call and _holds(error, Interrupted):
                status = Status.INTERRUPTED
            connection.fail(request.call, status, failure)

    def _ended(self, call: AsyncCall) -> None:
        del self._calls[call.request.call]
        call.request.has_ended = True
        CANCELLATIONS.end(call.request.call)
        self._rest()

    def _make_task(
        self, loop: AbstractEventLoop, inner: Coroutine[Any, Any, Any], **options: Any
    ) -> Task[Any]:
        """Make a task of whoever asks the loop for one; within a call, it belongs to that."""
        request = running_request.get()
        call = None if request is None else self._calls.get(request.call)
        if call is not None:
            inner = self._marks.child(call, inner)
        if self._factory is not None:
            made: Task[Any] = self._factory(loop, inner, **options)
            return made
        return Task(inner, loop=loop, **options)


_CANCELLED = "the call was cancelled"


def _holds(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether this is an exception of a kind, or a group of exceptions that has one in it."""
    if isinstance(error, kind):
        return True
    inner: Any = getattr(error, "exceptions", None)
    return isinstance(inner, tuple) and any(_holds(each, kind) for each in inner)


@coroutine
def _turn() -> Generator[None, None, None]:
    """Let everything else that is ready have its turn."""
    yield
