"""Turns the result of a function into what codecs carry.

A result that is made of plain values already is looked through once and returned as it is;
a list or a map is copied only where something in it had to change.
"""

from __future__ import annotations

import sys
from enum import Enum
from math import isfinite

from ._dump_scalars import (
    MAX_INT,
    MIN_INT,
    as_it_is,
    checked_int,
    checked_text,
    finite_float,
    no_bytes,
    to_bytes,
    with_text_keys,
)
from ._errors import InvalidResult
from ._instead import no_result
from ._shape import Mismatch, NoneType, index_segment, key_segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Handler = Callable[[Any, int], object]

MAX_DEPTH = 127
"""How deep lists and maps may be nested: serde refuses the 128th level by default."""

MAX_TYPES = 1024
"""How many types are remembered: a script may make new ones with every call."""


class Dumper:
    """Knows how the values of each type are encoded, and learns new types as it meets them."""

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._plain: dict[type, Handler] = {
            NoneType: as_it_is,
            bool: as_it_is,
            int: checked_int,
            float: as_it_is if binary else finite_float,
            str: checked_text,
            list: self._list,
            dict: self._map,
            tuple: self._elements,
            set: self._elements,
            frozenset: self._elements,
            bytes: as_it_is if binary else no_bytes,
            bytearray: to_bytes if binary else no_bytes,
            memoryview: to_bytes if binary else no_bytes,
        }
        self._handlers = self._plain.copy()
        self._as_they_are = frozenset(
            kind for kind, handler in self._plain.items() if handler is as_it_is
        )

    def dump(self, result: object) -> object:
        """Return the result as what codecs carry, or raise `InvalidResult`."""
        handler = self._handlers.get(type(result)) or self._dump
        try:
            return handler(result, MAX_DEPTH)
        except Mismatch as mismatch:
            raise InvalidResult(mismatch.path, mismatch.message) from None

    def _dump(self, value: object, depth: int) -> object:
        handler = self._handlers.get(type(value))
        if handler is None:
            handler = self._learn(type(value))
            if len(self._handlers) >= MAX_TYPES:
                self._handlers = self._plain.copy()
            self._handlers[type(value)] = handler
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
        handlers = self._handlers
        as_they_are = self._as_they_are
        copy = None
        key = ""
        try:
            for key, item in value.items():
                if type(key) is not str:
                    break
                if not key.isascii():
                    checked_text(key, 0)
                kind = type(item)
                if kind in as_they_are or (kind is int and MIN_INT <= item <= MAX_INT):
                    continue
                handler = handlers.get(kind) or self._dump
                dumped = handler(item, depth - 1)
                if dumped is not item:
                    if copy is None:
                        copy = value.copy()
                    copy[key] = dumped
            else:
                return value if copy is None else copy
        except Mismatch as mismatch:
            raise mismatch.inside(key_segment(key)) from None
        return self._map(with_text_keys(value), depth)

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
            (int, lambda value, depth: checked_int(int.__int__(value), depth)),
            (float, lambda value, depth: self._dump(float.__float__(value), depth)),
            (str, lambda value, depth: checked_text(str.__str__(value), depth)),
            (bytes, to_bytes if self._binary else no_bytes),
            (dict, self._entries),
            ((list, tuple, set, frozenset), self._elements),
        ):
            if issubclass(cls, base):
                return handler
        raise Mismatch(no_result(cls))

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
            raise Mismatch(no_result(type(value)))
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


def _too_deep() -> Mismatch:
    return Mismatch(f"nested deeper than {MAX_DEPTH} levels, or in itself")


dump_text = Dumper(binary=False).dump
"""For codecs that carry text: JSON."""

dump_binary = Dumper(binary=True).dump
"""For codecs that carry bytes and every float: MessagePack."""
