"""An argument that is a stream, of an async function: an async iterator."""

from __future__ import annotations

from asyncio import CancelledError, Future

from ._items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from ._connection import Connection
    from ._interrupt import Running
    from ._items import Decode
    from ._schema import ItemsParameter


class AsyncItems(Items):
    """What `Items` are to a plain function: other calls run while an item is awaited."""

    __slots__ = ("_loop", "_rest", "_waiter")

    _waiter: Future[None] | None
    """What the function awaits."""

    def __init__(self, connection: Connection, call: int, parameter: ItemsParameter) -> None:
        super().__init__(connection, call, parameter)
        self._waiter = None

    def begin_async(
        self,
        decode: Decode,
        running: Running,
        loop: AbstractEventLoop,
        rest: Callable[[], None],
    ) -> None:
        """Have an async function read them; `rest` sees to it that what is said is written."""
        self.begin(decode, running)
        self._loop = loop
        self._rest = rest

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> AsyncItems:
        return self

    async def __anext__(self) -> object:
        self._check_thread()
        while not self._bodies:
            if self._have_ended and not self._is_over:
                raise StopAsyncIteration
            await self._some()
        return self._pop()

    async def _some(self) -> None:
        """Wait until something has come."""
        self._check_open()
        if self._is_cancelled:
            # A function that goes on when its task was cancelled would wait for ever.
            raise CancelledError
        if self._waiter is not None:
            raise RuntimeError("another task waits for the next item already")
        self._ask()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _grant(self, size: int) -> None:
        super()._grant(size)
        running = self._running
        call, running.call = running.call, 0
        try:
            self._rest()
        finally:
            running.call = call
