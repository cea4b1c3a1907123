"""An argument that is a stream, of a function that runs in a thread: the event loop feeds it."""

from __future__ import annotations

from threading import Event

from ._items import Items

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._connection import Connection
    from ._items import Decode
    from ._schema import ItemsParameter


class ThreadItems(Items):
    """What `Items` are to a function in the main thread.

    Only the event loop touches the connection, so its thread is the one that says what is granted.
    """

    __slots__ = ("_came", "_say")

    def __init__(self, connection: Connection, call: int, parameter: ItemsParameter) -> None:
        super().__init__(connection, call, parameter)
        self._came = Event()

    def begin_in_thread(
        self, decode: Decode, say: Callable[[Callable[[int], None], int], None]
    ) -> None:
        """Have the function of this thread read them; `say` has something done by the loop."""
        self._say = say
        self._begin(decode)

    def _notify(self) -> None:
        self._came.set()

    def _block(self) -> None:
        self._came.wait()
        # What comes from now on sets it again; what has come is looked at before the next wait.
        self._came.clear()

    def _note_interrupt(self) -> None:
        """There is none in threads."""

    def _grant(self, size: int) -> None:
        self._say(self._grant_now, size)

    def _grant_now(self, size: int) -> None:
        if not self._is_over:
            self._credit += size
            self._connection.grant(self._call, self._parameter.place, size)
