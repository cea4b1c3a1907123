"""An argument that is a stream: its items, and how many of them the host may send."""

from __future__ import annotations

from _thread import get_ident
from collections import deque

from ._bind import convert_entry
from ._errors import Interrupted
from ._protocol import HEADER_LENGTH, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._connection import Connection
    from ._interrupt import Running
    from ._schema import ItemsParameter

    Decode = Callable[[bytes], object]

WINDOW_BYTES = 256 * 1024
"""So much lies unread in the worker at most, and one item more. The compiled core knows it too."""


class Items:
    """The items of one call's argument, from the host to the function that iterates over them.

    The function asks for the first item, and only then the host may send any. So a call that waits
    for its turn holds none, and one that never looks at them costs nothing.
    """

    __slots__ = (
        "_bodies",
        "_call",
        "_connection",
        "_credit",
        "_decode",
        "_has_begun",
        "_have_ended",
        "_is_cancelled",
        "_is_over",
        "_parameter",
        "_read",
        "_running",
        "_thread",
    )

    def __init__(self, connection: Connection, call: int, parameter: ItemsParameter) -> None:
        self._connection = connection
        self._call = call
        self._parameter = parameter
        self._bodies: deque[bytes] = deque()
        self._credit = 0
        self._read = 0
        """How many bytes of frames were read since the host was told so last."""
        self._has_begun = False
        self._have_ended = False
        self._is_cancelled = False
        self._is_over = False
        self._thread = 0

    def begin(self, decode: Decode, running: Running) -> None:
        """Have the function of this thread read them."""
        self._running = running
        self._begin(decode)

    def _begin(self, decode: Decode) -> None:
        self._decode = decode
        self._thread = get_ident()

    def take(self, place: int, body: bytes) -> None:
        """Take an item that the host has sent. Raises `ProtocolError`."""
        self._check(place)
        if self._credit <= 0:
            raise ProtocolError(f"an item of call {self._call} comes without credit")
        self._credit -= HEADER_LENGTH + len(body)
        self._bodies.append(body)
        self._notify()

    def end(self, place: int) -> None:
        """Take note that there are no more. Raises `ProtocolError`."""
        self._check(place)
        self.finish()

    def push(self, body: bytes) -> None:
        """Take an item that was found to be allowed, as the compiled core finds out by itself.

        The function that waits for it is the one that reads it there.
        """
        self._bodies.append(body)

    def finish(self) -> None:
        """Take note that there are no more, which was found to be allowed."""
        self._have_ended = True
        self._notify()

    def cancel(self) -> None:
        """Take note that the host sends no more of them, and wants no answer."""
        self._is_cancelled = True
        self._notify()

    def forget(self) -> None:
        """Drop what was not read, because the call has ended."""
        self._is_over = True
        self._bodies.clear()
        self._notify()

    def _notify(self) -> None:
        """Tell a function that waits elsewhere that something has come."""

    def __iter__(self) -> Items:
        return self

    def __next__(self) -> object:
        self._check_thread()
        while not self._bodies:
            if self._have_ended and not self._is_over:
                raise StopIteration
            self._wait()
        return self._pop()

    def _pop(self) -> object:
        """Return the next item, which is there, and let the host send as much more."""
        body = self._bodies.popleft()
        self._read += HEADER_LENGTH + len(body)
        if self._read >= WINDOW_BYTES // 2:
            self._grant(self._read)
            self._read = 0
        value = self._decode(body)
        convert = self._parameter.convert
        return value if convert is None else convert_entry(self._parameter.name, convert, value)

    def _wait(self) -> None:
        """Wait until something has come from the host: items, their end, or anything else."""
        self._check_open()
        self._ask()
        if not self._is_cancelled:
            self._block()
        if self._is_cancelled:
            self._note_interrupt()
            raise Interrupted("the host has cancelled the call")

    def _block(self) -> None:
        self._connection.wait()

    def _note_interrupt(self) -> None:
        """Let the call end as if it had been interrupted: nobody waits for its answer."""
        self._running.hit = self._call

    def _check_open(self) -> None:
        if self._is_over:
            raise RuntimeError("the call to which these items belong has ended")

    def _check_thread(self) -> None:
        # Also where items lie there: whoever takes one may have to say that more can be sent.
        if self._thread != get_ident():
            self._check_open()
            raise RuntimeError("only the thread that runs the function can take its items")

    def _ask(self) -> None:
        """Let the host send items, if it was not asked yet."""
        if not self._has_begun:
            self._has_begun = True
            self._grant(WINDOW_BYTES)

    def _grant(self, size: int) -> None:
        running = self._running
        # No interrupt comes between what is said and what is noted.
        call, running.call = running.call, 0
        try:
            self._credit += size
            self._connection.grant(self._call, self._parameter.place, size)
        finally:
            running.call = call

    def _check(self, place: int) -> None:
        if place != self._parameter.place:
            raise ProtocolError(f"an item is for parameter {place}, which is no stream")
        if self._have_ended:
            raise ProtocolError(f"an item of call {self._call} comes after their end")
