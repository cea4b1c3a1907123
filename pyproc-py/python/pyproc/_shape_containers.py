"""Shapes of lists, tuples, sets and maps."""

from __future__ import annotations

from typing import Any

from ._shape import Mismatch, Shape, index_segment, key_segment, kind_name

_LIST = frozenset({list})
_DICT = frozenset({dict})


def list_of(item: Shape) -> Shape:
    """Return the shape of a list whose elements have one shape."""
    name = f"list[{item.name}]"
    convert_items = _items_converter(name, item)
    exact = list if item.convert is None else None
    return Shape(name, _LIST, convert_items, exact, is_flat=item.is_scalar)


def tuple_of(item: Shape) -> Shape:
    """Return the shape of a tuple of any length."""
    name = f"tuple[{item.name}, ...]"
    convert_items = _items_converter(name, item)
    return Shape(name, _LIST, lambda value: tuple(convert_items(value)), is_flat=item.is_scalar)


def set_of(item: Shape, kind: type[set[Any] | frozenset[Any]]) -> Shape:
    """Return the shape of a set, which is a list on the wire; what occurs twice is kept once."""
    name = f"{kind.__name__}[{item.name}]"
    convert_items = _items_converter(name, item)

    def convert(value: Any) -> Any:
        items = convert_items(value)
        try:
            return kind(items)
        except TypeError:
            raise _unhashable(items) from None

    return Shape(name, _LIST, convert, is_flat=item.is_scalar)


def fixed_tuple(items: tuple[Shape, ...]) -> Shape:
    """Return the shape of a tuple with one shape for each place."""
    name = f"tuple[{', '.join(item.name for item in items) or '()'}]"
    converts = tuple(item.convert for item in items)

    def convert(value: Any) -> Any:
        if type(value) is not list:
            raise Mismatch.kind(name, value)
        if len(value) != len(converts):
            raise Mismatch(f"expected {len(converts)} elements, got {len(value)}")
        return tuple(convert_each(value, converts))

    return Shape(name, _LIST, convert, is_flat=all(item.is_scalar for item in items))


def map_of(key: Shape, item: Shape) -> Shape:
    """Return the shape of a map. On the wire its keys are text."""
    name = f"dict[{key.name}, {item.name}]"
    convert_key = None if key.exact is str or key.convert is None else key.convert
    convert_item = item.convert
    exact = item.exact

    def convert(value: Any) -> Any:
        if type(value) is not dict:
            raise Mismatch.kind(name, value)
        if convert_key is None:
            for element in value.values():
                if type(element) is not exact:
                    break
            else:
                return value
        result = {}
        for text, element in value.items():
            try:
                place = text if convert_key is None else convert_key(text)
                result[place] = element if convert_item is None else convert_item(element)
            except Mismatch as mismatch:
                raise mismatch.inside(key_segment(text)) from None
        return result

    passes = convert_key is None and convert_item is None
    return Shape(name, _DICT, convert, dict if passes else None, is_flat=item.is_scalar)


def convert_each(values: list[Any], converts: tuple[Any, ...]) -> list[Any]:
    """Convert the elements of a list, each with its own converter."""
    result = []
    for value, convert in zip(values, converts, strict=False):
        try:
            result.append(value if convert is None else convert(value))
        except Mismatch as mismatch:
            raise mismatch.inside(index_segment(len(result))) from None
    return result


def _items_converter(name: str, item: Shape) -> Any:
    convert_item = item.convert
    unchanged = {item.exact}

    def convert(value: Any) -> Any:
        if type(value) is not list:
            raise Mismatch.kind(name, value)
        # One pass in C settles the usual case, in which nothing has to be converted.
        if convert_item is None or set(map(type, value)) == unchanged:
            return value
        result: list[Any] = []
        append = result.append
        try:
            for element in value:
                append(convert_item(element))
        except Mismatch as mismatch:
            raise mismatch.inside(index_segment(len(result))) from None
        return result

    return convert


def _unhashable(items: list[Any]) -> Mismatch:
    for index, item in enumerate(items):
        try:
            hash(item)
        except TypeError:
            mismatch = Mismatch(f"a {kind_name(item)} cannot be an element of a set")
            return mismatch.inside(index_segment(index))
    return Mismatch("an element cannot be an element of a set")
