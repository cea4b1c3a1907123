"""The binary protocol, from the worker's side."""

from __future__ import annotations

from ._codec import UnsupportedCodec, codec
from ._connection import Connection, refusal
from ._context import now_ns
from ._handshake import Hello, Refusal, encode_welcome
from ._protocol import (
    KIND_NAMES,
    MIN_FRAME,
    Flag,
    Kind,
    ProtocolError,
    Splitter,
    Status,
    encode_frame,
    encode_header,
    parse_frame,
)
from ._request import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ._failure import Failure
    from ._registry import Function

_PLAIN_FLAGS = Flag.DEADLINE | Flag.METADATA
"""What a request may say in this version; the other flags are for capabilities to come."""


class BinaryConnection(Connection):
    """A connection with a host that speaks the binary protocol."""

    def __init__(self, functions: Sequence[Function] = ()) -> None:
        """`functions` are offered to a host whose `Hello` comes through `feed`."""
        super().__init__()
        self._functions = functions
        self._splitter = Splitter(self.max_frame)
        self._is_open = False
        self._has_absolute_deadlines = False
        self._last_call = 0

    def open(self, hello: Hello, functions: Sequence[Function]) -> None:
        """Agree to what the host proposes, with a `Welcome` that offers these functions.

        Raises `Refusal`.
        """
        self.limit_to(hello.max_frame)
        try:
            self.codec = codec(hello.codec)
        except UnsupportedCodec as error:
            raise Refusal(Status.UNSUPPORTED_CODEC, str(error)) from None
        self.pool = hello.pool
        self.slot = hello.slot
        self._has_absolute_deadlines = hello.has_absolute_deadlines
        self._is_open = True
        self._write(encode_frame(Kind.WELCOME, encode_welcome(hello, functions)))

    def limit_to(self, max_frame: int) -> None:
        """Keep to a host's limit from now on, also where it is then refused."""
        self.max_frame = self._splitter.max_frame = max_frame

    def refuse(self, refusal: Refusal) -> None:
        """Answer a `Hello` with the reason why not; the connection is of no more use."""
        body = refusal.failure.encode(self.max_frame - MIN_FRAME)
        self._write(encode_frame(Kind.ERROR, body, index=refusal.status))
        self.has_ended = True

    @property
    def missing(self) -> int:
        return self._splitter.missing

    def feed(self, data: bytes) -> None:
        for payload in self._splitter.feed(data):
            kind, flags, index, call, deadline, metadata, body = parse_frame(payload)
            if kind != Kind.REQUEST or not self._is_open:
                if flags or index or (call and kind != Kind.CANCEL):
                    raise ProtocolError(f"{KIND_NAMES[kind]} has fields that it does not have")
                self._handle(kind, call, body)
                continue
            if call <= self._last_call:
                message = f"the call id {call} of a request does not follow {self._last_call}"
                raise ProtocolError(message)
            self._last_call = call
            if flags & ~_PLAIN_FLAGS:
                raise ProtocolError(f"a request has flags 0x{flags:02x}, which nobody negotiated")
            if deadline is not None and not self._has_absolute_deadlines:
                deadline = now_ns() + deadline * 1000
            self._accept(Request(self, call, index, body, deadline, metadata))

    def reply(self, call: int, body: bytes) -> None:
        length = MIN_FRAME + len(body)
        if length > self.max_frame:
            message = f"the reply has {length} bytes, more than the limit of {self.max_frame}"
            self.fail(call, Status.TOO_LARGE, refusal(message))
            return
        self._write(encode_header(length, Kind.REPLY, 0, 0, call) + body)

    def fail(self, call: int, status: int, failure: Failure) -> None:
        body = failure.encode(self.max_frame - MIN_FRAME)
        self._write(encode_frame(Kind.ERROR, body, index=status, call=call))

    def drain(self) -> None:
        super().drain()
        if self._is_open:
            self._write(encode_frame(Kind.DRAIN))

    def say_goodbye(self) -> None:
        if self._is_open:
            self._write(encode_frame(Kind.GOODBYE))

    def _handle(self, kind: int, call: int, body: bytes) -> None:
        if not self._is_open:
            if kind != Kind.HELLO:
                raise ProtocolError(f"the host begins with {KIND_NAMES[kind]}, not with HELLO")
            try:
                self.open(Hello.parse(body), self._functions)
            except Refusal as refusal:
                self.refuse(refusal)
        elif kind == Kind.PING:
            self._write(encode_frame(Kind.PONG, body))
        elif kind in (Kind.CANCEL, Kind.DRAIN, Kind.GOODBYE):
            if body:
                raise ProtocolError(f"{KIND_NAMES[kind]} has a body")
            if kind == Kind.CANCEL:
                self._cancel(call)
            elif kind == Kind.DRAIN:
                self.is_draining = True
            else:
                self.has_ended = True
        elif kind in (Kind.CREDIT, Kind.STREAM_ITEM, Kind.STREAM_END):
            raise ProtocolError(f"{KIND_NAMES[kind]} was not negotiated")
        elif kind != Kind.PONG:
            raise ProtocolError(f"a host does not send {KIND_NAMES[kind]}")

    def _cancel(self, call: int) -> None:
        if not call:
            raise ProtocolError("CANCEL has the call id 0")
        # A call that runs or has been answered is past cancelling.
        for request in self.requests:
            if request.call == call:
                self.requests.remove(request)
                message = "the call was cancelled before it began"
                self.fail(call, Status.CANCELLED, refusal(message))
                return
