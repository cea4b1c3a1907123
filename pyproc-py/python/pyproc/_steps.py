"""Marks each step of an async call: on the state page, and for the handler of interrupts.

A step is what a coroutine does between two moments in which the event loop has the thread. One that
does not come to its end keeps every other call of the worker waiting; the page says whose it is.
"""

from __future__ import annotations

from collections.abc import Coroutine
from time import CLOCK_MONOTONIC, clock_gettime_ns
from types import coroutine

from ._errors import Interrupted
from ._state_page import RESUMED, STARTED_NS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from ._async_calls import AsyncCall
    from ._fork import ForkGuard
    from ._interrupt import Running


class Marks:
    """What is told of the steps of one worker's calls."""

    __slots__ = ("guard", "running", "words")

    def __init__(self, words: memoryview, running: Running, guard: ForkGuard) -> None:
        self.words = words
        self.running = running
        self.guard = guard

    @coroutine
    def steps(self, call: AsyncCall, inner: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Await `inner`, each step of which belongs to `call`.

        A call that is cancelled is not interrupted: its task was cancelled, and it may clean up.

        A generator and not a class: its steps cost a third, and every call has some. A child that
        a step has forked does not come back from it.
        """
        words, running, guard = self.words, self.running, self.guard
        call_id = call.request.call
        send, throw = inner.send, inner.throw
        error: BaseException | None = None
        while True:
            words[STARTED_NS] = clock_gettime_ns(CLOCK_MONOTONIC)
            words[RESUMED] = call_id
            try:
                try:
                    running.call = 0 if call.is_cancelled else call_id
                    awaited = send(None) if error is None else throw(error)
                finally:
                    running.call = 0
            except StopIteration as end:
                return end.value
            except SystemExit as exit:
                guard.leave_if_child(exit.code)
                raise
            except Interrupted as interrupt:
                if guard.is_child or getattr(inner, "cr_frame", None) is None:
                    raise
                # It came as the step was over, and the function has not seen it.
                error = interrupt
                continue
            finally:
                # A child has no page.
                if guard.is_child:
                    guard.leave_if_child()
                words[RESUMED] = 0
            error = None
            try:
                yield awaited
            except BaseException as thrown:
                error = thrown

    def child(self, call: AsyncCall, inner: Coroutine[Any, Any, Any]) -> ChildSteps:
        """Return `inner` as a task is to run it that an async call has made."""
        return ChildSteps(self, call, inner)


class ChildSteps(Coroutine["Any", "Any", "Any"]):
    """The coroutine of a task that a call has made; in all else it is the one that was given."""

    __slots__ = ("_call", "_inner", "_marks")

    def __init__(self, marks: Marks, call: AsyncCall, inner: Coroutine[Any, Any, Any]) -> None:
        self._marks = marks
        self._call = call
        self._inner = inner

    def send(self, value: Any) -> Any:
        return self._step(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return self._step(self._inner.throw, *error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __repr__(self) -> str:
        return repr(self._inner)

    def _step(self, step: Any, *arguments: Any) -> Any:
        marks = self._marks
        words, running, guard = marks.words, marks.running, marks.guard
        # A task that begins at once, as some factories make them, does so within a step of another.
        outer, outer_step = running.call, words[RESUMED]
        words[STARTED_NS] = clock_gettime_ns(CLOCK_MONOTONIC)
        call, call_id = self._call, self._call.request.call
        words[RESUMED] = call_id
        try:
            try:
                running.call = 0 if call.is_cancelled else call_id
                return step(*arguments)
            finally:
                running.call = outer
        except SystemExit as exit:
            guard.leave_if_child(exit.code)
            raise
        except Interrupted as interrupt:
            if guard.is_child or getattr(self._inner, "cr_frame", None) is None:
                raise
            # As above.
            return self._inner.throw(interrupt)
        finally:
            if guard.is_child:
                guard.leave_if_child()
            words[RESUMED] = outer_step
