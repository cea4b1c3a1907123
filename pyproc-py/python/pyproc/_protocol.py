"""Bytes to frames and back, for the binary protocol; no socket, no clock.

Every message of either protocol is a 4-byte big-endian length and that many bytes, which are
called the payload. A payload of the binary protocol is a frame: what stands in its header, the
fields that its flags announce, and the body.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    Metadata: TypeAlias = tuple[tuple[str, str], ...]

    Fields: TypeAlias = tuple[int, int, int, int, int | None, Metadata, int]
    """Kind, flags, index or status, call id, deadline, metadata, where the body begins."""

    Frame: TypeAlias = tuple[int, int, int, int, int | None, Metadata, bytes]
    """Kind, flags, index or status, call id, deadline, metadata, body.

    A plain tuple: it takes the least time to make.
    """


DEFAULT_MAX_FRAME = 16 * 1024 * 1024
"""The longest payload, in bytes, where nobody says otherwise."""

HEADER_LENGTH = 16
"""The bytes before the body of a frame without optional fields."""

MIN_FRAME = 12
"""The shortest payload of a frame, in bytes: the rest of its header."""

CREDIT_BYTES = 4
"""The body of a `CREDIT`: how many more bytes of a stream may be sent."""

MAX_CALL = 2**64 - 1


class Kind:
    """What a frame is. The high bit keeps every kind apart from the first byte of JSON text."""

    HELLO = 0x81
    WELCOME = 0x82
    REQUEST = 0x83
    REPLY = 0x84
    ERROR = 0x85
    STREAM_ITEM = 0x86
    STREAM_END = 0x87
    CREDIT = 0x88
    CANCEL = 0x89
    PING = 0x8A
    PONG = 0x8B
    LOG = 0x8C
    DRAIN = 0x8D
    GOODBYE = 0x8E


KIND_NAMES = {value: name for name, value in vars(Kind).items() if name.isupper()}


class Flag:
    """What stands between the header of a frame and its body, and what the body is."""

    DEADLINE = 0x01
    METADATA = 0x02
    ONE_WAY = 0x04
    WANTS_STREAM = 0x08
    SHARED_MEMORY = 0x10
    ERROR_VALUE = 0x20
    ITEMS_FOLLOW = 0x40

    ALL = 0x7F


class Status:
    """Why a call, or a handshake, ended with an `Error` frame."""

    EXCEPTION = 1
    FUNCTION_NOT_FOUND = 2
    INVALID_ARGUMENT = 3
    INVALID_RESULT = 4
    INVALID_BODY = 5
    DEADLINE = 6
    CANCELLED = 7
    DRAINING = 8
    TOO_LARGE = 9
    INTERRUPTED = 10
    START_FAILED = 16
    UNSUPPORTED_CODEC = 17
    UNSUPPORTED_VERSION = 18
    INVALID_HELLO = 19


STATUS_NAMES = {value: name.lower() for name, value in vars(Status).items() if name.isupper()}
"""The names by which the JSON protocol and the typed errors know the statuses."""

STATUSES = {name: value for value, name in STATUS_NAMES.items()}


class ProtocolError(Exception):
    """The peer broke the grammar of the protocol; its connection cannot be used any more."""


def parse_frame(payload: bytes) -> Frame:
    """Parse one payload of at least `MIN_FRAME` bytes. Raises `ProtocolError`."""
    kind, flags, index, call, deadline, metadata, offset = parse_fields(payload)
    return kind, flags, index, call, deadline, metadata, payload[offset:]


def parse_fields(payload: bytes | memoryview) -> Fields:
    """Parse what stands before the body of a frame. Raises `ProtocolError`."""
    kind, flags, index, call = _HEADER_IN(payload)
    if kind not in KIND_NAMES:
        raise ProtocolError(f"0x{kind:02x} is not a kind of frame")
    if flags & ~Flag.ALL:
        raise ProtocolError(f"0x{flags:02x} has a flag that is not known")
    offset = MIN_FRAME
    deadline = None
    metadata: Metadata = ()
    if flags & Flag.DEADLINE:
        if len(payload) < offset + 8:
            raise ProtocolError("the frame ends within its deadline")
        (deadline,) = decode_deadline(payload, offset)
        offset += 8
    if flags & Flag.METADATA:
        if len(payload) < offset + 2:
            raise ProtocolError("the frame ends within its metadata")
        (total,) = _U16(payload, offset)
        offset += 2
        if len(payload) < offset + total:
            raise ProtocolError("the frame ends within its metadata")
        metadata = _parse_metadata(bytes(payload[offset : offset + total]))
        offset += total
    return kind, flags, index, call, deadline, metadata, offset


def encode_frame(
    kind: int,
    body: bytes = b"",
    *,
    flags: int = 0,
    index: int = 0,
    call: int = 0,
    deadline: int | None = None,
    metadata: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return the bytes of one frame; the flags for deadline and metadata are set from them."""
    fields = b""
    if deadline is not None:
        flags |= Flag.DEADLINE
        fields = deadline.to_bytes(8, "big")
    pairs = encode_metadata(metadata)
    if len(pairs) > 2 or flags & Flag.METADATA:
        flags |= Flag.METADATA
        fields += pairs
    length = MIN_FRAME + len(fields) + len(body)
    return encode_header(length, kind, flags, index, call) + fields + body


def _parse_metadata(data: bytes) -> Metadata:
    texts = []
    offset = 0
    while offset < len(data):
        start = offset + 2
        if start > len(data):
            raise ProtocolError("the metadata ends within a length")
        (length,) = _U16(data, offset)
        offset = start + length
        if offset > len(data):
            raise ProtocolError("the metadata ends within a text")
        try:
            texts.append(data[start:offset].decode())
        except UnicodeDecodeError:
            raise ProtocolError("the metadata is not UTF-8") from None
    if len(texts) % 2:
        raise ProtocolError("the metadata ends with a key without a value")
    return tuple(zip(texts[::2], texts[1::2], strict=True))


def encode_metadata(metadata: Iterable[tuple[str, str]]) -> bytes:
    """Return the total and the pairs, which must fit."""
    parts = []
    for pair in metadata:
        for text in pair:
            data = text.encode()
            parts.append(len(data).to_bytes(2, "big") + data)
    pairs = b"".join(parts)
    return len(pairs).to_bytes(2, "big") + pairs


_HEADER = Struct(">IBBHQ")

encode_header = _HEADER.pack
"""Length of all that follows, kind, flags, index or status, call id."""

decode_header = _HEADER.unpack_from
"""The same, out of `HEADER_LENGTH` bytes at an offset."""

decode_deadline = Struct(">Q").unpack_from

_HEADER_IN = Struct(">BBHQ").unpack_from
_U16 = Struct(">H").unpack_from
