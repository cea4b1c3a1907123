"""The binary protocol, from the worker's side."""

from __future__ import annotations

from ._codec import UnsupportedCodec, codec
from ._connection import LARGE_BYTES, Connection, refusal
from ._context import now_ns
from ._handshake import Hello, Refusal, encode_welcome
from ._protocol import (
    CREDIT_BYTES,
    HEADER_LENGTH,
    KIND_NAMES,
    MIN_FRAME,
    Flag,
    Kind,
    ProtocolError,
    Status,
    decode_deadline,
    decode_header,
    encode_frame,
    encode_header,
    encode_metadata,
    parse_fields,
)
from ._request import Request
from ._splitter import LENGTH_BYTES
from ._stream import Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._failure import Failure
    from ._items import Items
    from ._registry import Function
    from ._schema import ItemsParameter

_FLAGS = Flag.DEADLINE | Flag.METADATA | Flag.WANTS_STREAM | Flag.ITEMS_FOLLOW
"""What a request may say in this version; the other flags are for capabilities to come."""


class BinaryConnection(Connection):
    """A connection with a host that speaks the binary protocol."""

    def __init__(self, functions: Sequence[Function] = ()) -> None:
        """`functions` are offered to a host whose `Hello` comes through `feed`."""
        super().__init__()
        self._functions = functions
        self._is_open = False
        self._has_absolute_deadlines = False
        self._is_drained = False
        """Whether the host has said that it requests no more."""
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
        self._functions = functions
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

    def feed(self, data: bytes) -> None:
        if self._splitter.missing:
            data = self._splitter.resume(data)
        offset = 0
        if self.items and not self.has_ended:
            offset = self._take_plain_items(data)
        while offset < len(data):
            if self._is_open and not self.is_draining and not self.has_ended:
                offset = self._accept_plain(data, offset)
            payload = self._splitter.cut(data, offset)
            if payload is None:
                break
            self._take(payload)
            offset += LENGTH_BYTES + len(payload)
        self._splitter.keep(data, offset)

    def _accept_plain(self, data: bytes, offset: int) -> int:
        """Accept the requests from `offset` on that are as nearly all are; return where they end.

        It does what `_take` does, in a third of the time: that is for whatever else comes, and
        for whatever is wrong.
        """
        size = len(data)
        max_frame = self.max_frame
        last_call = self._last_call
        accept = self.requests.append
        while size - offset >= HEADER_LENGTH:
            length, kind, flags, index, call = decode_header(data, offset)
            body = offset + HEADER_LENGTH
            end = offset + LENGTH_BYTES + length
            if (
                kind != Kind.REQUEST
                or call <= last_call
                or end > size
                or not MIN_FRAME <= length <= max_frame
            ):
                break
            deadline = None
            if flags == Flag.DEADLINE and end - body >= 8:
                (deadline,) = decode_deadline(data, body)
                if not self._has_absolute_deadlines:
                    deadline = now_ns() + deadline * 1000
                body += 8
            elif flags:
                break
            last_call = call
            accept(Request(self, call, index, data[body:end], deadline))
            offset = end
        self._last_call = last_call
        return offset

    def _take_plain_items(self, data: bytes) -> int:
        """Take the items that the bytes begin with, as nearly all are; return where they end.

        It does what `_take` does, in a third of the time.
        """
        offset = 0
        size = len(data)
        max_frame = self.max_frame
        of_call = 0
        items = None
        while size - offset >= HEADER_LENGTH:
            length, kind, flags, index, call = decode_header(data, offset)
            end = offset + LENGTH_BYTES + length
            if kind != Kind.STREAM_ITEM or flags or end > size or length > max_frame:
                break
            if call != of_call:
                items = self.items.get(call)
                of_call = call
            if items is None or length < MIN_FRAME:
                break
            items.take(index, data[offset + HEADER_LENGTH : end])
            offset = end
        return offset

    def _take(self, payload: bytes | memoryview) -> None:
        kind, flags, index, call, deadline, metadata, offset = parse_fields(payload)
        body = payload[offset:]
        if self.has_ended:
            if self._is_open:
                raise ProtocolError(f"{KIND_NAMES[kind]} comes after GOODBYE")
            return  # It was on its way when the host was refused.
        if kind in (Kind.STREAM_ITEM, Kind.STREAM_END) and self._is_open:
            self._take_item(kind, flags, index, call, bytes(body))
            return
        if kind != Kind.REQUEST or not self._is_open:
            if flags or index or (call and kind not in (Kind.CANCEL, Kind.CREDIT)):
                raise ProtocolError(f"{KIND_NAMES[kind]} has fields that it does not have")
            self._handle(kind, call, bytes(body))
            return
        if call <= self._last_call:
            message = f"the call id {call} of a request does not follow {self._last_call}"
            raise ProtocolError(message)
        self._last_call = call
        if flags & ~_FLAGS:
            raise ProtocolError(f"a request has flags 0x{flags:02x}, which nobody negotiated")
        if deadline is not None and not self._has_absolute_deadlines:
            deadline = now_ns() + deadline * 1000
        if not self.codec.accepts_views:
            body = bytes(body)
        request = Request(self, call, index, body, deadline, metadata)
        if flags & Flag.WANTS_STREAM and not self.is_draining:
            if index < len(self._functions) and not self._functions[index].is_stream:
                message = "the function returns one value, and a stream was asked for"
                self.fail(call, Status.INVALID_ARGUMENT, refusal(message))
                return
            self.streams[call] = Stream(request)
        if flags & Flag.ITEMS_FOLLOW and not self.is_draining and index < len(self._functions):
            parameter = self._functions[index].binding.items
            if parameter is None:
                message = "the function takes no stream, and items were to follow"
                self.fail(call, Status.INVALID_ARGUMENT, refusal(message))
                return
            self.items[call] = _items_of(self, call, self._functions[index], parameter)
        self._accept(request)

    def reply(self, call: int, body: bytes) -> None:
        if self.items:
            self._forget_items(call)
        length = MIN_FRAME + len(body)
        if length >= LARGE_BYTES or length > self.max_frame:
            self._send(Kind.REPLY, call, body, "reply")
            return
        # As nearly all are. It does what `_send` does, without the price of one more function.
        self.output.append(encode_header(length, Kind.REPLY, 0, 0, call) + body)
        self.output_bytes += LENGTH_BYTES + length

    def reply_accompanied(self, request: Request, body: bytes) -> None:
        if self.items:
            self._forget_items(request.call)
        metadata = request.reply_metadata or {}
        fields = encode_metadata(metadata.items())
        self._send(Kind.REPLY, request.call, body, "reply", Flag.METADATA, fields)

    def begin(self, request: Request, items: Iterator[object]) -> None:
        stream = self.streams.get(request.call)
        if stream is None:
            super().begin(request, items)
            return
        stream.items = items
        self.set_moving(stream)

    def send_item(self, stream: Stream, body: bytes) -> None:
        stream.credit -= HEADER_LENGTH + len(body)
        self._send(Kind.STREAM_ITEM, stream.request.call, body, "item")

    def end(self, stream: Stream) -> None:
        call = stream.request.call
        self._forget_items(call)
        del self.streams[call]
        self._write(encode_frame(Kind.STREAM_END, call=call))

    def _send(
        self, kind: int, call: int, body: bytes, what: str, flags: int = 0, fields: bytes = b""
    ) -> None:
        length = MIN_FRAME + len(fields) + len(body)
        if length > self.max_frame:
            message = f"the {what} has {length} bytes, more than the limit of {self.max_frame}"
            self.fail(call, Status.TOO_LARGE, refusal(message))
            return
        header = encode_header(length, kind, flags, 0, call) + fields
        if length < LARGE_BYTES:
            self.output.append(header + body)
        else:
            self.output += (header, body)
        self.output_bytes += LENGTH_BYTES + length

    def fail(self, call: int, status: int, failure: Failure) -> None:
        if self.streams:
            self.streams.pop(call, None)
        if self.items:
            self._forget_items(call)
        body = failure.encode(self.max_frame - MIN_FRAME)
        self._write(encode_frame(Kind.ERROR, body, index=status, call=call))

    def grant(self, call: int, place: int, size: int) -> None:
        body = size.to_bytes(CREDIT_BYTES, "big")
        self._write(encode_frame(Kind.CREDIT, body, index=place, call=call))

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
                if self._is_drained:
                    raise ProtocolError("the host says DRAIN twice")
                self.is_draining = self._is_drained = True
            else:
                self.has_ended = True
        elif kind == Kind.CREDIT:
            self._grant(call, body)
        else:
            raise ProtocolError(f"a host does not send {KIND_NAMES[kind]}")

    def _grant(self, call: int, body: bytes) -> None:
        if not 0 < call <= self._last_call:
            raise ProtocolError(f"CREDIT has the call id {call}, which no request had")
        if len(body) != CREDIT_BYTES:
            raise ProtocolError(f"CREDIT has {len(body)} bytes, where {CREDIT_BYTES} belong")
        # It may have crossed the end of the stream.
        stream = self.streams.get(call)
        if stream is not None:
            stream.credit += int.from_bytes(body, "big")
            self.set_moving(stream)

    def _take_item(self, kind: int, flags: int, index: int, call: int, body: bytes) -> None:
        if flags or not 0 < call <= self._last_call or (body and kind == Kind.STREAM_END):
            raise ProtocolError(f"{KIND_NAMES[kind]} has fields that it does not have")
        # It may have crossed the answer.
        items = self.items.get(call)
        if items is None:
            return
        if kind == Kind.STREAM_END:
            items.end(index)
        else:
            items.take(index, body)

    def _forget_items(self, call: int) -> None:
        items = self.items.pop(call, None)
        if items is not None:
            items.forget()

    def _cancel(self, call: int) -> None:
        if not 0 < call <= self._last_call:
            raise ProtocolError(f"CANCEL has the call id {call}, which no request had")
        # A call that has been answered is past cancelling, and so is a plain function that runs,
        # unless it waits for the host.
        items = self.items.get(call)
        if items is not None:
            items.cancel()
        stream = self.streams.get(call)
        if stream is not None and stream.items is not None:
            stream.is_cancelled = True
            self.set_moving(stream)
            return
        for request in self.requests:
            if request.call == call:
                self.requests.remove(request)
                message = "the call was cancelled before it began"
                self.fail(call, Status.CANCELLED, refusal(message))
                return
        if self.cancel_running is not None:
            self.cancel_running(call)


def _items_of(
    connection: Connection, call: int, function: Function, parameter: ItemsParameter
) -> Items:
    # Whoever sends a stream pays for what it takes to import; nobody else does.
    if parameter.is_async:
        from ._async_items import AsyncItems

        return AsyncItems(connection, call, parameter)
    if connection.has_threads and not function.is_stream:
        from ._thread_items import ThreadItems

        return ThreadItems(connection, call, parameter)
    from ._items import Items

    return Items(connection, call, parameter)
