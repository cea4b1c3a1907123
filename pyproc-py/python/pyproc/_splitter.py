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

    def __init__(self, max_frame: int, min_frame: int = MIN_FRAME) -> None:
        self.max_frame = max_frame
        self._min_frame = min_frame
        self._partial = bytearray()
        self._needed = LENGTH_BYTES

    @property
    def missing(self) -> int:
        """How many bytes, at least, are missing from the payload that has begun; 0 between two."""
        return self._needed - len(self._partial) if self._partial else 0

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
        if not self._partial:
            return data
        self._partial += data
        if len(self._partial) < self._needed:
            return b""
        data = bytes(self._partial)
        self._partial.clear()
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
        if offset == len(data):
            return
        self._partial += data[offset:]
        self._needed = LENGTH_BYTES
        if len(self._partial) >= LENGTH_BYTES:
            self._needed += _LENGTH(self._partial)[0]

    def hand_over(self) -> LargePayload:
        """Return the payload that has begun, of known length, for somebody else to complete."""
        beginning, self._partial = self._partial, bytearray()
        return LargePayload(self._needed - LENGTH_BYTES, beginning[LENGTH_BYTES:])

    def _refusal(self, length: int) -> str:
        if length < self._min_frame:
            return f"a frame of {length} bytes is shorter than {self._min_frame}"
        return f"a frame of {length} bytes is longer than the limit of {self.max_frame}"


_LENGTH = Struct(">I").unpack_from
