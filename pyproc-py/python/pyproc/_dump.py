"""Turns the result of a function into what codecs carry.

A result that is made of plain values already is looked through once and returned as it is;
a list or a map is copied only where something in it had to change.
"""

from __future__ import annotations

import sys
from enum import Enum
from math import isfinite

from ._errors import InvalidResult
from ._shape import Mismatch, NoneType, index_segment, key_segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Handler = Callable[[Any, int], object]

MAX_DEPTH = 127
"""How deep lists and maps may be nested: serde refuses the 128th level by default."""

MIN_INT = -(2**63)
MAX_INT = 2**64 - 1
"""The ends of i64 and u64: what lies beyond them has no integer type on the other side."""

_ONLY_TEXT = frozenset({str}).issuperset

_HINTS = {
    "coroutine": "the function forgot to await it",
    "dict_items": "return a `dict` or a `list`",
    "dict_keys": "return a `list`",
    "dict_values": "return a `list`",
    "generator": "return a `list`",
    "map": "return a `list`",
    "range": "return a `list`",
    "zip": "return a `list`",
    "date": "return its `.isoformat()`",
    "datetime": "return its `.isoformat()`",
    "time": "return its `.isoformat()`",
    "timedelta": "return its `.total_seconds()`",
    "Decimal": "return a `str` or a `float` of it",
    "Fraction": "return a `str` or a `float` of it",
    "PosixPath": "return a `str` of it",
    "UUID": "return a `str` of it",
    "complex": "return its `.real` and `.imag`",
}


class Dumper:
    """Knows how the values of each type are encoded, and learns new types as it meets them."""

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._handlers: dict[type, Handler] = {
            NoneType: _as_it_is,
            bool: _as_it_is,
            int: _int,
            float: _as_it_is if binary else _finite,
            str: _text,
            list: self._list,
            dict: self._map,
            tuple: self._elements,
            set: self._elements,
            frozenset: self._elements,
            bytes: _as_it_is if binary else _no_bytes,
            bytearray: _to_bytes if binary else _no_bytes,
            memoryview: _to_bytes if binary else _no_bytes,
        }

    def __call__(self, result: object) -> object:
        """Return the result as what codecs carry, or raise `InvalidResult`."""
        try:
            return self._dump(result, MAX_DEPTH)
        except Mismatch as mismatch:
            raise InvalidResult(mismatch.path, mismatch.message) from None

    def _dump(self, value: object, depth: int) -> object:
        handler = self._handlers.get(type(value))
        if handler is None:
            handler = self._handlers[type(value)] = self._learn(type(value))
        return handler(value, depth)

    def _list(self, value: list[Any], depth: int) -> object:
        if not depth:
            raise _too_deep()
        if self._is_plain_row(value):
            return value
        handlers = self._handlers
        copy = None
        index = 0
        try:
            for index, item in enumerate(value):
                handler = handlers.get(type(item)) or self._dump
                dumped = handler(item, depth - 1)
                if dumped is not item:
                    if copy is None:
                        copy = value.copy()
                    copy[index] = dumped
        except Mismatch as mismatch:
            raise mismatch.inside(index_segment(index)) from None
        return value if copy is None else copy

    def _is_plain_row(self, value: list[Any]) -> bool:
        """Tell quickly, in C, whether all elements are of one scalar type and in order."""
        kinds = set(map(type, value))
        if len(kinds) > 1:
            return False
        if float in kinds:
            # A nan or an infinity anywhere makes the sum one.
            return self._binary or isfinite(sum(value))
        if int in kinds:
            return bool(MIN_INT <= min(value) <= max(value) <= MAX_INT)
        if str in kinds:
            return all(map(str.isascii, value))
        return not kinds or bool in kinds or NoneType in kinds

    def _map(self, value: dict[Any, Any], depth: int) -> object:
        if not depth:
            raise _too_deep()
        if not _ONLY_TEXT(map(type, value)):
            value = _with_text_keys(value)
        handlers = self._handlers
        copy = None
        key = ""
        try:
            for key, item in value.items():
                if not key.isascii():
                    _text(key, 0)
                handler = handlers.get(type(item)) or self._dump
                dumped = handler(item, depth - 1)
                if dumped is not item:
                    if copy is None:
                        copy = value.copy()
                    copy[key] = dumped
        except Mismatch as mismatch:
            raise mismatch.inside(key_segment(key)) from None
        return value if copy is None else copy

    def _elements(self, value: Any, depth: int) -> object:
        return self._list(list(value), depth)

    def _entries(self, value: Any, depth: int) -> object:
        return self._map(dict(value), depth)

    def _record(self, cls: Any) -> Handler:
        from dataclasses import fields

        names = tuple(field.name for field in fields(cls))

        def dump(value: Any, depth: int) -> object:
            try:
                entries = {name: getattr(value, name) for name in names}
            except AttributeError as error:
                raise Mismatch(str(error)) from None
            return self._map(entries, depth)

        return dump

    def _learn(self, cls: type) -> Handler:
        if issubclass(cls, Enum):
            return lambda value, depth: self._dump(value.value, depth)
        library = self._library(cls)
        if library is not None:
            return library
        if hasattr(cls, "__dataclass_fields__"):
            return self._record(cls)
        # Subclasses of the plain types are sent as what they extend.
        for base, handler in (
            (int, lambda value, depth: _int(int.__int__(value), depth)),
            (float, lambda value, depth: self._dump(float.__float__(value), depth)),
            (str, lambda value, depth: _text(str.__str__(value), depth)),
            (bytes, _to_bytes if self._binary else _no_bytes),
            (dict, self._entries),
            ((list, tuple, set, frozenset), self._elements),
        ):
            if issubclass(cls, base):
                return handler
        raise Mismatch(_refusal(cls))

    def _library(self, cls: type) -> Handler | None:
        # The class of a value of a library has imported it; nothing is imported here.
        for module, base, handler in (
            ("numpy", "generic", self._numpy_scalar),
            ("msgspec", "Struct", self._struct),
            ("pydantic", "BaseModel", self._model),
        ):
            found = getattr(sys.modules.get(module), base, None)
            if found is not None and issubclass(cls, found):
                return handler
        return None

    def _numpy_scalar(self, value: Any, depth: int) -> object:
        item = value.item()
        # Dates, complex and very long numbers are no plain values; `item` may return itself.
        if type(item) not in (bool, int, float, str, bytes):
            raise Mismatch(_refusal(type(value)))
        return self._dump(item, depth)

    def _struct(self, value: Any, depth: int) -> object:
        msgspec: Any = sys.modules["msgspec"]

        def inner(part: object) -> object:
            return self._dump(part, depth)

        try:
            built = msgspec.to_builtins(value, builtin_types=(bytes,), enc_hook=inner)
        except RecursionError:
            raise _too_deep() from None
        return self._dump(built, depth)

    def _model(self, value: Any, depth: int) -> object:
        try:
            built = value.model_dump(mode="json", by_alias=True)
        except ValueError as error:  # The base of pydantic's own error.
            raise Mismatch(str(error)) from None
        return self._dump(built, depth)


def _as_it_is(value: Any, _depth: int) -> object:
    return value


def _int(value: int, _depth: int) -> object:
    if MIN_INT <= value <= MAX_INT:
        return value
    raise Mismatch("this int lies beyond 64 bits; return it as `str`")


def _finite(value: float, _depth: int) -> object:
    if isfinite(value):
        return value
    raise Mismatch(f"JSON has no {value}; return `None`, or use MessagePack")


def _text(value: str, _depth: int) -> object:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Mismatch("this str holds a lone surrogate, which is not text") from None
    return value


def _to_bytes(value: Any, _depth: int) -> object:
    return bytes(value)


def _no_bytes(_value: Any, _depth: int) -> object:
    raise Mismatch("JSON has no bytes; return base64 text, or use MessagePack")


def _with_text_keys(value: dict[Any, Any]) -> dict[str, Any]:
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
    return f"{key!r} ({kind})" if type(key) in (int, float, bool, NoneType) else f"of type {kind}"


def _too_deep() -> Mismatch:
    return Mismatch(f"nested deeper than {MAX_DEPTH} levels, or in itself")


def _refusal(cls: type) -> str:
    name = cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"
    hint = _HINTS.get(cls.__name__)
    if hint is None and hasattr(cls, "tolist"):
        hint = "return its `.tolist()` if it is small"
    if hint is None:
        hint = "return a dict, a dataclass or plain values"
    return f"a {name} cannot be sent; {hint}"


dump_text = Dumper(binary=False)
"""For codecs that carry text: JSON."""

dump_binary = Dumper(binary=True)
"""For codecs that carry bytes and every float: MessagePack."""
