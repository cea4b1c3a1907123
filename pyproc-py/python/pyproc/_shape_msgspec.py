"""What msgspec adds: speed, its `Struct`s, and its constraints.

msgspec converts strictly, and where it accepts a value it makes what the standard-library
converter makes. Where it refuses one, that converter is asked again: it finds the same fault
and names it in the same words, whether msgspec is there or not.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import msgspec

from ._shape import NO_BYTES_IN_JSON, Mismatch, Shape, Unsupported

# With `bytes` as a type of its own, msgspec does not decode base64 text behind our back.
_BUILTIN_TYPES = (bytes,)


_CONTAINERS = (list, dict)

_FEW = 32
"""So many elements are converted by hand before msgspec has begun."""


def accelerate(annotation: Any, shape: Shape) -> Shape:
    """Return a shape that converts alike, faster where msgspec knows the annotation."""
    slow = shape.convert
    is_flat = shape.is_flat
    if slow is None or not _knows(annotation):
        return shape
    fast = partial(msgspec.convert, type=annotation, builtin_types=_BUILTIN_TYPES)

    def convert(value: Any) -> Any:
        # Each time, msgspec begins by looking at the annotation.
        if is_flat and type(value) in _CONTAINERS and len(value) <= _FEW:
            return slow(value)
        try:
            return fast(value)
        except Exception:
            # What a class of the user's raises comes out as it is, unless it is a `ValueError`.
            return slow(value)

    return Shape(shape.name, shape.kinds, convert, shape.exact, is_flat=is_flat)


def struct(cls: Any, args: tuple[Any, ...]) -> Shape:
    """Return the shape of a `msgspec.Struct`, whose fields are msgspec's business."""
    kind = list if cls.__struct_config__.array_like else dict
    return leaf(cls[args] if args else cls, cls.__name__, frozenset({kind}))


def leaf(annotation: Any, name: str, kinds: frozenset[type]) -> Shape:
    """Return the shape of an annotation that only msgspec understands."""
    if not _knows(annotation):
        raise Unsupported(f"msgspec does not support `{name}` here")

    def convert(value: Any) -> Any:
        if type(value) not in kinds:
            raise Mismatch.kind(name, value)
        try:
            return msgspec.convert(value, annotation, builtin_types=_BUILTIN_TYPES)
        except msgspec.ValidationError as error:
            raise _mismatch(str(error)) from None
        except RecursionError:
            raise
        except Exception as error:
            raise Mismatch.refusal(error) from None

    return Shape(name, kinds, convert)


def _knows(annotation: Any) -> bool:
    try:
        # A decoder looks at the whole type when it is made.
        msgspec.msgpack.Decoder(annotation)
    except Exception:
        # Whatever goes wrong while msgspec looks at user classes, the other converter serves.
        return False
    return True


def _mismatch(message: str) -> Mismatch:
    """Take msgspec's message apart: "Expected `int`, got `str` - at `$.a[0].b`"."""
    text, _, place = message.partition(" - at ")
    text = text.replace("`", "")
    text = text[:1].lower() + text[1:]
    if text == "expected bytes, got str":
        text = f"{text} ({NO_BYTES_IN_JSON})"
    mismatch = Mismatch(text)
    path = re.search(r"\$([^`]*)`$", place)
    if path and path[1]:
        mismatch.inside(path[1])
    return mismatch
