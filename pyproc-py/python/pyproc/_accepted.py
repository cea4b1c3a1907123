"""One of the connections that a listening worker has accepted, and its socket."""

from __future__ import annotations

import select

from ._connection_binary import BinaryConnection
from ._connection_json import JsonConnection
from ._protocol import ProtocolError
from ._wait import wait_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from socket import socket

    from ._connection import Connection
    from ._registry import Function
    from ._runner import Runner
    from ._stream import Stream

FIRST_BYTES = 4 * 1024
"""Read at once, at most, while it is not known which protocol is spoken."""

MAX_QUEUED = 1024
"""A host that has so many requests waiting is not read from; they wait in its own memory."""

MAX_UNSENT_BYTES = 16 * 1024 * 1024
"""A host that leaves so many bytes unread gets no more calls run until it reads."""


class Accepted:
    """A socket that never blocks, and the connection that it turned out to carry.

    The first byte of the first payload tells the protocol: JSON text, or anything else.
    """

    def __init__(self, sock: socket, functions: Sequence[Function]) -> None:
        sock.setblocking(False)
        self.socket = sock
        self._functions = functions
        self._beginning = b""
        self._connection: Connection | None = None
        self._unsent = bytearray()
        self.is_closed = False
        self._is_half_closed = False
        self._is_running = False
        self._is_streams_turn = False
        self._is_draining = False
        self._has_said_goodbye = False
        self._violation: ProtocolError | None = None
        """How the host broke the protocol while a function waited for it."""

    @property
    def has_work(self) -> bool:
        """Whether a request waits, or a stream may go on, and what comes of it will be read."""
        connection = self._connection
        return (
            connection is not None
            and not self.is_closed
            and bool(connection.requests or connection.moving)
            and len(self._unsent) < MAX_UNSENT_BYTES
        )

    @property
    def has_streams(self) -> bool:
        """Whether a stream has not ended, be it that it waits for its reader."""
        return self._connection is not None and bool(self._connection.streams)

    def take_streams(self) -> list[Stream]:
        """Return the streams that have begun, which nobody waits for when this is closed."""
        connection = self._connection
        if connection is None:
            return []
        streams = [stream for stream in connection.streams.values() if stream.items is not None]
        connection.streams.clear()
        return streams

    @property
    def wants_to_read(self) -> bool:
        """Whether more bytes are welcome."""
        if self._is_half_closed or self._has_said_goodbye:
            return False
        return self._connection is None or (
            len(self._connection.requests) < MAX_QUEUED and len(self._unsent) < MAX_UNSENT_BYTES
        )

    @property
    def wants_to_write(self) -> bool:
        """Whether bytes wait for the host to read."""
        return bool(self._unsent)

    @property
    def is_finished(self) -> bool:
        """Whether everything is done that this connection was there for."""
        if self.is_closed:
            return True
        connection = self._connection
        if self._is_running or self._unsent or (connection is not None and connection.output):
            return False
        if connection is None:
            return self._is_half_closed
        if connection.has_ended:
            return True
        has_calls = connection.requests or connection.streams
        return not has_calls and (self._is_half_closed or connection.is_draining)

    def run_next(self, runner: Runner, now_ns: int) -> int:
        """Have the next request run, or the next stream go on; return what time it is then."""
        connection = self._connection
        if connection is not None and self.has_work:
            requests, moving = connection.requests, connection.moving
            self._is_running = True
            try:
                if moving and (self._is_streams_turn or not requests):
                    self._is_streams_turn = False
                    return runner.go_on(moving.popleft(), now_ns)
                self._is_streams_turn = True
                return runner.run(requests.popleft(), now_ns)
            finally:
                self._is_running = False
        return now_ns

    def read(self) -> None:
        """Read what is there, once.

        Raises `ProtocolError` for what no host would send, `OSError` where the host is gone.
        """
        if not self.wants_to_read:
            return
        connection = self._connection
        room = memoryview(bytearray(FIRST_BYTES)) if connection is None else connection.room
        try:
            count = self.socket.recv_into(room)
        except BlockingIOError:
            return
        if not count:
            self._end()
        elif connection is not None:
            connection.filled(count)
        else:
            self._recognize(bytes(room[:count]))

    def write(self) -> None:
        """Write what the host takes without waiting.

        Raises `OSError` where it is gone, and `ProtocolError` where it was found to break it.
        """
        if self._violation is not None:
            raise self._violation
        connection = self._connection
        if connection is not None and connection.output:
            self._unsent += connection.take_output()
        if self._unsent:
            try:
                del self._unsent[: self.socket.send(self._unsent)]
            except BlockingIOError:
                pass

    def _wait_within(self) -> None:
        """Wait for the host while a function does; what comes for others has its turn later."""
        connection = self._connection
        assert connection is not None
        self.write()
        if self._is_half_closed or connection.has_ended:
            raise ConnectionAbortedError("the host sends no more")
        try:
            count = self.socket.recv_into(connection.room)
        except BlockingIOError:
            wait_for(self.socket.fileno(), to_write=bool(self._unsent))
            return
        if not count:
            self._end()
            return
        try:
            connection.filled(count)
        except ProtocolError as violation:
            self._violation = violation
            raise ConnectionAbortedError("the host has broken the protocol") from violation

    def drain(self) -> None:
        """Take no more requests, and none of a connection that turns out to be one later."""
        self._is_draining = True
        if self._connection is not None:
            self._connection.drain()

    def say_goodbye(self) -> None:
        """Tell the host that the worker ends in good order."""
        # What the host still sends is not read: no frame may follow the last one.
        self._has_said_goodbye = True
        if self._connection is not None and not self._connection.has_ended:
            self._connection.say_goodbye()

    def close(self) -> None:
        """Close the socket; what waits is dropped."""
        self.is_closed = True
        self._unsent.clear()
        if self._connection is not None:
            self._connection.requests.clear()
            self._connection.moving.clear()
        self.socket.close()

    def _recognize(self, data: bytes) -> None:
        self._beginning += data
        if len(self._beginning) < 5:
            return
        if self._beginning.startswith(bytes(4)):
            raise ProtocolError("the first message is empty")
        is_json = self._beginning[4] in b"{ \t\r\n"
        self._connection = JsonConnection() if is_json else BinaryConnection(self._functions)
        self._connection.wait = self._wait_within
        if self._is_draining:
            self._connection.drain()
        beginning, self._beginning = self._beginning, b""
        self._connection.feed(beginning)

    def _end(self) -> None:
        """Take note that the host sends no more: it is gone, or it only waits for answers."""
        self._is_half_closed = True
        poll = select.poll()
        poll.register(self.socket, 0)
        if any(events & select.POLLHUP for _, events in poll.poll(0)):
            raise BrokenPipeError("the host closed the connection")
        if self._connection is not None:
            # Who says nothing more grants nothing more.
            self._connection.cancel_waiting_streams()
