"""How scalars and keys in results are checked and made plain."""

from __future__ import annotations

from enum import Enum
from math import isfinite

from ._shape import Mismatch, NoneType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MIN_INT = -(2**63)
MAX_INT = 2**64 - 1
"""The ends of i64 and u64: what lies beyond them has no integer type on the other side."""


def as_it_is(value: Any, _depth: int) -> object:
    """Return a value that every codec, or this one, carries."""
    return value


def checked_int(value: int, _depth: int) -> object:
    """Return an int that has a type on the other side."""
    if MIN_INT <= value <= MAX_INT:
        return value
    raise Mismatch("this int lies beyond 64 bits; return it as `str`")


def finite_float(value: float, _depth: int) -> object:
    """Return a float that JSON can write."""
    if isfinite(value):
        return value
    raise Mismatch(f"JSON has no {value}; return `None`, or use MessagePack")


def checked_text(value: str, _depth: int) -> object:
    """Return text, which a str with a lone surrogate is not."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Mismatch("this str holds a lone surrogate, which is not text") from None
    return value


def to_bytes(value: Any, _depth: int) -> object:
    """Return what stands for bytes as `bytes`."""
    return bytes(value)


def no_bytes(_value: Any, _depth: int) -> object:
    """Refuse bytes where the codec carries text."""
    raise Mismatch("JSON has no bytes; return base64 text, or use MessagePack")


def with_text_keys(value: dict[Any, Any]) -> dict[str, Any]:
    """Return a copy in which keys that stand for text are text."""
    result = {}
    for key, item in value.items():
        text = key.value if isinstance(key, Enum) else key
        if not isinstance(text, str):
            raise Mismatch(f"the key {_shown(key)} is not text; keys must be `str`")
        result[str.__str__(text)] = item
    if len(result) != len(value):
        raise Mismatch("two keys are the same text")
    return result


def _shown(key: object) -> str:
    kind = type(key).__name__
    short = type(key) in (float, bool, NoneType) or (type(key) is int and MIN_INT <= key <= MAX_INT)
    return f"{key!r} ({kind})" if short else f"of type {kind}"
