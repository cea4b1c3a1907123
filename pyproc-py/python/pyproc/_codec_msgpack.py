"""MessagePack, on whichever of three packages the interpreter has."""

from __future__ import annotations

from ._codec import Codec
from ._errors import InvalidBody, InvalidResult

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._codec import Decode, Encode


def make() -> Codec:
    """Return the codec.

    Raises `ImportError` where no package serves, with what is wrong with those that are there.
    """
    unfit = ""
    for name, package in (("msgspec", _msgspec), ("ormsgpack", _ormsgpack), ("msgpack", _msgpack)):
        try:
            encode, decode = package()
        except ImportError as error:
            if not (isinstance(error, ModuleNotFoundError) and error.name == name):
                unfit += f"; {name} is there and cannot serve: {error}"
            continue
        return _strict(encode, decode, accepts_views=name == "msgspec")
    raise ImportError(unfit)


def _msgspec() -> tuple[Encode, Decode]:
    import msgspec

    return msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode


def _ormsgpack() -> tuple[Encode, Decode]:
    import ormsgpack

    # Before this version, a body that claimed more elements than it had could crash the process.
    if tuple(map(int, ormsgpack.__version__.split(".")[:2])) < (1, 13):
        raise ImportError(f"version {ormsgpack.__version__} is older than 1.13")
    unpack = ormsgpack.unpackb

    def decode(body: bytes) -> object:
        # It ignores what follows the first value. Here that would stand in place of the mark.
        value, mark = unpack(b"\x92" + body + _MARK)
        if mark != _MARK[1:].decode():
            raise ValueError("there is more than one value")
        return value

    return ormsgpack.packb, decode


def _msgpack() -> tuple[Encode, Decode]:
    import msgpack

    return msgpack.packb, lambda body: msgpack.unpackb(body, strict_map_key=True)


def _strict(pack: Encode, unpack: Decode, *, accepts_views: bool = False) -> Codec:
    def encode(value: object) -> bytes:
        try:
            return pack(value)
        except Exception as error:
            raise InvalidResult("$", str(error)) from None

    def decode(body: bytes) -> object:
        try:
            value = unpack(body)
        except RecursionError:
            raise InvalidBody("the body is nested too deeply") from None
        except Exception as error:
            raise InvalidBody(f"the body is not MessagePack: {error}") from None
        if type(value) not in _SCALARS:
            _require_plain(value)
        return value

    return Codec("msgpack", encode, decode, binary=True, accepts_views=accepts_views)


def _require_plain(value: Any) -> None:
    """Refuse keys that are no text, and extension types, however the package shows them."""
    kind = type(value)
    if kind is dict and len(value) <= _FEW:
        for key, item in value.items():
            if type(key) is not str or type(item) not in _SCALARS:
                break
        else:
            return
    if kind not in _KINDS:
        raise InvalidBody(_EXTENSION)
    pending = [value]
    while pending:
        item = pending.pop()
        if type(item) is dict:
            if not _ONLY_TEXT(map(type, item)):
                key = next(key for key in item if type(key) is not str)
                raise InvalidBody(f"the key {key!r} of a map is not text")
            item = item.values()
        elif type(item) is not list:
            continue
        kinds = set(map(type, item))
        if not _KINDS.issuperset(kinds):
            raise InvalidBody(_EXTENSION)
        if dict in kinds or list in kinds:
            pending.extend(item)


_MARK = b"\xafpyproc-end-mark"
"""A text of 15 bytes, encoded."""

_EXTENSION = "the body has an extension type, which no codec here carries"

_SCALARS = frozenset({type(None), bool, int, float, str, bytes})

_KINDS = _SCALARS | {list, dict}

_FEW = 16
"""Up to here, looking at the entries one by one is faster than having it done in C."""

_ONLY_TEXT = frozenset({str}).issuperset
