"""One connection with a host, in either protocol: bytes in, requests and bytes out.

Nothing here touches a socket. A loop feeds what it has read, runs what stands in `requests`, and
writes what stands in `output`.
"""

from __future__ import annotations

from collections import deque

from ._protocol import DEFAULT_MAX_FRAME, Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._codec import Codec
    from ._failure import Failure
    from ._request import Request


class Connection:
    """What both protocols have in common."""

    codec: Codec
    """Encodes the bodies."""

    pool: str = ""
    """The name of the pool at the other end, if it has one."""

    slot: int | None = None
    """The worker's place in that pool."""

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME) -> None:
        self.max_frame = max_frame
        self.requests: deque[Request] = deque()
        self.output: list[bytes] = []
        self.output_bytes = 0
        self.is_draining = False
        """Whether requests that come from now on are refused."""
        self.has_ended = False
        """Whether nothing more is to be read from the host."""

    def feed(self, data: bytes) -> None:
        """Take bytes that were read. Raises `ProtocolError`."""
        raise NotImplementedError

    @property
    def missing(self) -> int:
        """How many bytes, at least, are missing from a message that has begun."""
        raise NotImplementedError

    def reply(self, call: int, body: bytes) -> None:
        """Answer a call with its result."""
        raise NotImplementedError

    def fail(self, call: int, status: int, failure: Failure) -> None:
        """Answer a call with an error."""
        raise NotImplementedError

    def drain(self) -> None:
        """Refuse requests from now on, and tell the host so where the protocol has words for it."""
        self.is_draining = True

    def say_goodbye(self) -> None:
        """Tell the host that this end closes in good order."""

    def take_output(self) -> bytes:
        """Return what is to be written, and forget it."""
        output = self.output
        data = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        self.output_bytes = 0
        return data

    def _write(self, data: bytes) -> None:
        self.output.append(data)
        self.output_bytes += len(data)

    def _accept(self, request: Request) -> None:
        if self.is_draining:
            self.fail(request.call, Status.DRAINING, refusal("the worker takes no more calls"))
        else:
            self.requests.append(request)


def refusal(message: str) -> Failure:
    """Return the description of an error that is no exception."""
    from ._failure import Failure

    return Failure("CallError", message)
