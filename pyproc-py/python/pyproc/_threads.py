"""Threads that run plain functions, for workers that are to run several of them at once."""

from __future__ import annotations

from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread

from ._cancellation import CANCELLATIONS, Shared
from ._connection import refusal
from ._context import now_ns, running_request
from ._dispatch import ARGUMENTS, FUNCTION, RESULT, arguments_of, explain
from ._errors import Interrupted
from ._failure import Failure
from ._protocol import Status
from ._runner import EXPIRED
from ._state_page import TAKEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._connection import Connection
    from ._fork import ForkGuard
    from ._registry import Function
    from ._request import Request
    from ._thread_items import ThreadItems

LEFT_SECONDS = 0.5
"""How long calls may go on in threads of a worker whose host has gone."""


class Job(Shared):
    """One call, from the moment when a thread has it to its answer."""

    __slots__ = ("body", "exit", "failure", "function", "request", "status")

    request: Request
    function: Function

    body: bytes | None
    """The encoded result."""

    failure: Failure | None
    """What ended it instead, and its status."""
    status: int

    exit: SystemExit | None
    """What said that the process should end."""

    def __init__(self, request: Request, function: Function) -> None:
        super().__init__()
        self.request = request
        self.function = function
        self.body = None
        self.failure = None
        self.status = 0
        self.exit = None


class Threads:
    """Runs each call in the thread that is free first; the others wait in their order.

    The connection belongs to the event loop: it begins the calls and gives the answers. All that
    is done for one call in between, its conversions included, is done in its thread.
    """

    def __init__(
        self,
        count: int,
        connection: Connection,
        words: memoryview,
        guard: ForkGuard,
        wake: Callable[[], None],
        end: Callable[[BaseException], None],
    ) -> None:
        """`wake` is called by any thread, to have `collect` called by the event loop.

        `end` is told of an exception that ends the worker.
        """
        self._connection = connection
        self._codec = connection.codec
        self._words = words
        self._guard = guard
        self._wake = wake
        self._end = end
        self._context = copy_context()
        self._waiting: dict[int, Job] = {}
        self._running: dict[int, Job] = {}
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._done: SimpleQueue[Job] = SimpleQueue()
        self._grants: SimpleQueue[tuple[Callable[[int], None], int]] = SimpleQueue()
        """What the functions want to read of their arguments."""
        # As daemons they keep no process from ending that their calls would hold up for ever.
        self._threads = [
            Thread(target=self._serve, name=f"pyproc-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    def begin(self, request: Request, function: Function) -> None:
        """Run a call as soon as a thread is free."""
        self._waiting[request.call] = Job(request, function)
        self._hand_over()

    def cancel(self, call: int) -> None:
        """Skip a call if it waits, and tell it if it runs."""
        if self._waiting.pop(call, None) is not None:
            message = "the call was cancelled before it began"
            self._connection.fail(call, Status.CANCELLED, refusal(message))
        elif call in self._running:
            CANCELLATIONS.cancel(call)

    def collect(self) -> None:
        """Answer the calls that have ended, and hand over those that wait."""
        while not self._grants.empty():
            grant, size = self._grants.get()
            grant(size)
        while not self._done.empty():
            self._answer(self._done.get())
        self._hand_over()

    def leave(self) -> None:
        """Wait for the calls that run, but not for long."""
        for items in self._connection.items.values():
            items.forget()
        give_up = now_ns() + int(LEFT_SECONDS * 1e9)
        while self._running and now_ns() < give_up:
            try:
                job = self._done.get(timeout=max(0, give_up - now_ns()) / 1e9)
            except Exception:  # It is `Empty`.
                break
            del self._running[job.request.call]

    def _say(self, grant: Callable[[int], None], size: int) -> None:
        """Have the event loop grant something; any thread may ask."""
        self._grants.put((grant, size))
        self._wake()

    def _hand_over(self) -> None:
        while self._waiting and len(self._running) < len(self._threads):
            call = next(iter(self._waiting))
            job = self._waiting.pop(call)
            deadline_ns = job.request.deadline_ns
            if deadline_ns is not None and now_ns() >= deadline_ns:
                self._connection.fail(call, Status.DEADLINE, EXPIRED)
                continue
            # Others may have overtaken it.
            if call > self._words[TAKEN]:
                self._words[TAKEN] = call
            CANCELLATIONS.share(call, job)
            self._running[call] = job
            self._jobs.put(job)

    def _answer(self, job: Job) -> None:
        request, connection = job.request, self._connection
        del self._running[request.call]
        if job.exit is not None:
            self._end(job.exit)
        elif job.failure is not None:
            connection.fail(request.call, job.status, job.failure)
        elif job.body is not None and request.reply_metadata is not None:
            try:
                connection.reply_accompanied(request, job.body)
            except Exception as error:
                connection.fail(request.call, *explain(error, RESULT))
        elif job.body is not None:
            connection.reply(request.call, job.body)

    def _serve(self) -> None:
        """Be one of the threads."""
        while True:
            job = self._jobs.get()
            self._context.copy().run(self._run, job)
            # Here, because what the function wants done about its end may take its time.
            job.request.has_ended = True
            CANCELLATIONS.end(job.request.call)
            self._done.put(job)
            self._wake()
            # Its bodies may be large, and the next one may be long in coming.
            del job

    def _run(self, job: Job) -> None:
        request, binding, codec = job.request, job.function.binding, self._codec
        stage = ARGUMENTS
        running_request.set(request)
        try:
            arguments, keywords = arguments_of(request, binding, codec.decode, self._begin_items)
            stage = FUNCTION
            result = job.function.call(*arguments, **keywords)
            stage = RESULT
            job.body = codec.encode(codec.dump(result))
        except SystemExit as exit:
            self._guard.leave_if_child(exit.code)
            job.exit = exit
        except Interrupted as error:
            # There is no other in a thread than the one that ends the wait for an item.
            job.status, job.failure = Status.CANCELLED, Failure.of(error)
        except BaseException as error:
            job.status, job.failure = explain(error, stage)
        if self._guard.is_child:
            self._guard.leave_if_child()

    def _begin_items(self, items: ThreadItems) -> None:
        items.begin_in_thread(self._codec.decode, self._say)
