"""Runs the calls of a connection in the compiled core; `_loop_sync` is its model."""

from __future__ import annotations

from ._cancellation import CANCELLATIONS
from ._context import Context, running_request
from ._dispatch import explain
from ._protocol import MIN_FRAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._connection import Connection
    from ._connection_binary import BinaryConnection
    from ._core import Core
    from ._dispatch import Dispatcher
    from ._fork import ForkGuard
    from ._handshake import Hello
    from ._interrupt import Running
    from ._items import Items
    from ._lane import Lane
    from ._schema import ItemsParameter
    from ._signals import StopSignal
    from ._state_page import StatePage


class NativeLoop:
    """What `SyncLoop` is, behind the `Welcome`."""

    def __init__(
        self,
        core: Core,
        lane: Lane,
        connection: BinaryConnection,
        dispatcher: Dispatcher,
        stop: StopSignal,
        guard: ForkGuard,
        hello: Hello,
        page: StatePage | None,
        running: Running,
    ) -> None:
        self._core = core
        self._lane = lane
        self._connection = connection
        self._dispatcher = dispatcher
        self._stop = stop
        self._guard = guard
        self._hello = hello
        self._page = page
        self._running = running
        CANCELLATIONS.report_to(running)

    def run(self) -> None:
        """Do what `SyncLoop.run` does."""
        connection = self._connection
        codec = connection.codec
        max_body = connection.max_frame - MIN_FRAME
        self._lane.write(*connection.take_pieces())

        # Only functions that take batches need it.
        def results_of(name: str, results: object, calls: int) -> Sequence[object]:
            from ._batch_run import results_of

            return results_of(name, results, calls)

        def explain_encoded(error: BaseException, stage: int) -> tuple[int, bytes]:
            status, failure = explain(error, stage)
            return status, failure.encode(max_body)

        def make_items(lent: Connection, call: int, parameter: ItemsParameter) -> Items:
            # Whoever takes a stream pays for what it takes to import; nobody else does.
            from ._items import Items

            items = Items(lent, call, parameter)
            items.begin(codec.decode, self._running)
            return items

        connection.has_ended = self._core.module.run(
            lane=self._lane,
            stop=self._stop,
            guard=self._guard,
            functions=self._dispatcher.functions,
            connection=connection,
            codec=codec.name,
            registered=None if codec in self._core.codecs else codec,
            dump=codec.dump,
            max_frame=connection.max_frame,
            has_absolute_deadlines=self._hello.has_absolute_deadlines,
            spin_us=self._hello.spin_us,
            set_running=running_request.set,
            context_of=Context._of,
            explain=explain_encoded,
            results_of=results_of,
            make_items=make_items,
            mark_cancelled=CANCELLATIONS.mark_cancelled,
            end_watched=CANCELLATIONS.end,
            page=None if self._page is None else self._page.words,
            running=self._running,
        )
