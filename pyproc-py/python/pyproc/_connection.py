"""One connection with a host, in either protocol: bytes in, requests and bytes out.

Nothing here touches a socket. A loop reads into `room`, runs what stands in `requests`, and writes
what stands in `output`.
"""

from __future__ import annotations

from collections import deque

from ._protocol import DEFAULT_MAX_FRAME, MIN_FRAME, Status
from ._splitter import Splitter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._codec import Codec
    from ._dispatch import Answer
    from ._failure import Failure
    from ._items import Items
    from ._large import LargePayload
    from ._registry import Function
    from ._request import Request
    from ._stream import Stream

READ_BYTES = 64 * 1024
"""Read at once, at most, while no longer payload is under way."""

LARGE_BYTES = 64 * 1024
"""From here on a body is written from where it lies, instead of being copied beside its header."""


class Connection:
    """What both protocols have in common."""

    codec: Codec
    """Encodes the bodies."""

    pool: str = ""
    """The name of the pool at the other end, if it has one."""

    slot: int | None = None
    """The worker's place in that pool."""

    cancel_running: Callable[[int], None] | None = None
    """What cancels a call that has begun, where that can be done."""

    answers: dict[int | str, tuple[Function, Answer]]
    """What runs requests, by what they call their function; filled as they come."""

    def __init__(self, min_frame: int = MIN_FRAME) -> None:
        self.max_frame = DEFAULT_MAX_FRAME
        self._splitter = Splitter(self.max_frame, min_frame)
        self._buffer = memoryview(bytearray(READ_BYTES))
        self._large: LargePayload | None = None
        self.answers = {}
        self.requests: deque[Request] = deque()
        self.streams: dict[int, Stream] = {}
        """Those that have not ended, by the ids of their calls."""
        self.moving: deque[Stream] = deque()
        """Those of them that have begun and can go on."""
        self.items: dict[int, Items] = {}
        """The streams that are arguments of unanswered calls, by the ids of these."""
        self.has_threads = False
        """Whether plain functions that are no generators run in threads."""
        self.wait: Callable[[], None] = _wait_for_ever
        """Waits until something has come, and takes it; set by the loop, asked by functions.

        It may return early. Raises `ConnectionAbortedError` where nothing more will come.
        """
        self.output: list[bytes] = []
        self.output_bytes = 0
        self.is_draining = False
        """Whether requests that come from now on are refused."""
        self.has_ended = False
        """Whether nothing more is to be read from the host."""

    @property
    def room(self) -> memoryview:
        """Where the next bytes are to be read to; `filled` takes them from there."""
        if self._large is None:
            if self._splitter.missing <= READ_BYTES:
                return self._buffer
            self._large = self._splitter.hand_over()
        return self._large.room

    def arrived(self, count: int | None) -> None:
        """Take what a read into `room` has brought: 0 is the end of the stream, `None` nothing.

        Raises `ProtocolError`.
        """
        if count:
            self.filled(count)
        elif count is not None:
            self.has_ended = True

    def filled(self, count: int) -> None:
        """Take the first `count` bytes of `room`, which were read. Raises `ProtocolError`."""
        large = self._large
        if large is None:
            self.feed(bytes(self._buffer[:count]))
        elif large.filled(count):
            self._large = None
            self._take(large.view)

    def feed(self, data: bytes) -> None:
        """Take bytes from elsewhere than `room`, in which nothing has begun.

        Raises `ProtocolError`.
        """
        for payload in self._splitter.feed(data):
            self._take(payload)

    def _take(self, payload: bytes | memoryview) -> None:
        """Do what the host asks for in one frame or message. Raises `ProtocolError`."""
        raise NotImplementedError

    def reply(self, call: int, body: bytes) -> None:
        """Answer a call with its result."""
        raise NotImplementedError

    def reply_accompanied(self, request: Request, body: bytes) -> None:
        """Answer a call with its result and its metadata, where the protocol has a place for it."""
        self.reply(request.call, body)

    def fail(self, call: int, status: int, failure: Failure) -> None:
        """Answer a call with an error."""
        raise NotImplementedError

    def begin(self, request: Request, items: Iterator[object]) -> None:
        """Answer a call with a stream, where one was asked for."""
        message = "the function yields a stream, and one value was asked for"
        self.fail(request.call, Status.INVALID_ARGUMENT, refusal(message))

    def send_item(self, stream: Stream, body: bytes) -> None:
        """Send an item of a stream that has credit; one that is too long ends it."""
        raise NotImplementedError

    def end(self, stream: Stream) -> None:
        """End a stream after all its items."""
        raise NotImplementedError

    def grant(self, call: int, place: int, size: int) -> None:
        """Let the host send so many more bytes of an argument, its frames counted whole."""
        raise NotImplementedError

    def set_moving(self, stream: Stream) -> None:
        """Let a stream go on when it is its turn, if there is anything to be done about it."""
        if stream.can_go_on and not stream.is_ready:
            stream.is_ready = True
            self.moving.append(stream)

    def cancel_waiting_streams(self) -> None:
        """End the streams that have no credit, because none will come."""
        for stream in self.streams.values():
            if stream.credit <= 0:
                stream.is_cancelled = True
                self.set_moving(stream)

    def drain(self) -> None:
        """Refuse requests from now on, and tell the host so where the protocol has words for it."""
        self.is_draining = True

    def say_goodbye(self) -> None:
        """Tell the host that this end closes in good order."""

    def take_output(self) -> bytes:
        """Return what is to be written, and forget it."""
        return b"".join(self.take_pieces())

    def take_pieces(self) -> list[bytes]:
        """Return what is to be written, and forget it: in one piece, except for large bodies."""
        output, self.output = self.output, []
        total, self.output_bytes = self.output_bytes, 0
        if total < LARGE_BYTES:
            return [b"".join(output)]
        pieces: list[bytes] = []
        small: list[bytes] = []
        for each in output:
            if len(each) < LARGE_BYTES:
                small.append(each)
                continue
            if small:
                pieces.append(b"".join(small))
                small.clear()
            pieces.append(each)
        return [*pieces, b"".join(small)] if small else pieces

    def _write(self, data: bytes) -> None:
        self.output.append(data)
        self.output_bytes += len(data)

    def _accept(self, request: Request) -> None:
        if self.is_draining:
            self.fail(request.call, Status.DRAINING, refusal("the worker takes no more calls"))
        else:
            self.requests.append(request)


def _wait_for_ever() -> None:
    raise ConnectionAbortedError("nothing more will come")


def refusal(message: str) -> Failure:
    """Return the description of an error that is no exception."""
    from ._failure import Failure

    return Failure("CallError", message)
