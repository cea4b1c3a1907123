"""Cuts a stream of bytes into payloads; no socket."""

from __future__ import annotations

from struct import Struct

from ._large import LargePayload
from ._protocol import MIN_FRAME, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LENGTH_BYTES = 4
"""What stands before each payload: its length."""


class Splitter:
    """Cuts a stream of bytes into payloads; any chunking of it gives the same ones."""

    missing: int
    """How many bytes, at least, are missing from the payload that has begun; 0 between two."""

    def __init__(self, max_frame: int, min_frame: int = MIN_FRAME) -> None:
        self.max_frame = max_frame
        self.missing = 0
        self._min_frame = min_frame
        self._partial = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the payloads that `data` completes.

        Raises `ProtocolError` for a length that is not allowed, as soon as its four bytes are
        there and after the payloads before it; nothing is allocated for it.
        """
        data = self.resume(data)
        offset = 0
        while (payload := self.cut(data, offset)) is not None:
            yield payload
            offset += LENGTH_BYTES + len(payload)
        self.keep(data, offset)

    def resume(self, data: bytes) -> bytes:
        """Return `data` behind what it continues; nothing while that is far from complete.

        Whoever cuts it must `keep` the rest.
        """
        if not self.missing:
            return data
        self._partial += data
        if len(data) < self.missing:
            self.missing -= len(data)
            return b""
        data = bytes(self._partial)
        self._partial.clear()
        self.missing = 0
        return data

    def cut(self, data: bytes, offset: int) -> bytes | None:
        """Return the payload whose length stands at `offset`, if all of it is there.

        Raises `ProtocolError` for a length that is not allowed.
        """
        begin = offset + LENGTH_BYTES
        if len(data) < begin:
            return None
        (length,) = _LENGTH(data, offset)
        if not self._min_frame <= length <= self.max_frame:
            raise ProtocolError(self._refusal(length))
        end = begin + int(length)
        return data[begin:end] if end <= len(data) else None

    def keep(self, data: bytes, offset: int) -> None:
        """Keep what `cut` did not return, until the bytes come that continue it."""
        rest = len(data) - offset
        if not rest:
            return
        self._partial += data[offset:]
        self.missing = LENGTH_BYTES - rest
        if rest >= LENGTH_BYTES:
            self.missing += _LENGTH(data, offset)[0]

    def hand_over(self) -> LargePayload:
        """Return the payload that has begun, of known length, for somebody else to complete."""
        beginning, self._partial = self._partial[LENGTH_BYTES:], bytearray()
        missing, self.missing = self.missing, 0
        return LargePayload(len(beginning) + missing, beginning)

    def _refusal(self, length: int) -> str:
        if length < self._min_frame:
            return f"a frame of {length} bytes is shorter than {self._min_frame}"
        return f"a frame of {length} bytes is longer than the limit of {self.max_frame}"


_LENGTH = Struct(">I").unpack_from
