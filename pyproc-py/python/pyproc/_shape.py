"""What a value must look like to become an argument, and how it is said that it does not.

A shape is made once from an annotation, when a function is registered. Values come from a
codec, so their types are exactly `NoneType`, `bool`, `int`, `float`, `str`, `bytes`, `list`
and `dict` with `str` keys: shapes compare types with `is` and look for no subclasses.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Convert = Callable[[Any], Any]

NoneType = type(None)

EVERY_KIND: frozenset[type] = frozenset({NoneType, bool, int, float, str, bytes, list, dict})
"""The types that codecs decode to."""

MAX_SEGMENT_CHARS = 64
"""A longer key is cut in a path: keys come from the wire, and paths end up in logs."""

MAX_SEGMENTS = 24
"""A longer path is shown by its two ends."""


class Shape:
    """One annotation, made ready to convert decoded values."""

    __slots__ = ("convert", "exact", "is_flat", "kinds", "name")

    name: str
    """The annotation as messages show it."""

    kinds: frozenset[type]
    """The types of decoded values among which this shape finds any that it accepts."""

    convert: Convert | None
    """Returns the argument or raises `Mismatch`; `None` where every value passes as it is."""

    exact: type | None
    """A value of this type passes as it is, if there is such a type."""

    is_flat: bool
    """Whether it is the shape of lists or maps that hold none in turn."""

    def __init__(
        self,
        name: str,
        kinds: frozenset[type],
        convert: Convert | None,
        exact: type | None = None,
        *,
        is_flat: bool = False,
    ) -> None:
        self.name = name
        self.kinds = kinds
        self.convert = convert
        self.exact = exact
        self.is_flat = is_flat

    @property
    def is_scalar(self) -> bool:
        """Whether it accepts neither lists nor maps."""
        return not self.kinds & {list, dict}


class Unsupported(Exception):
    """No shape can be made of an annotation; the message says of which, and why."""


class Mismatch(Exception):
    """A value does not have the shape that is asked for; the path grows while this unwinds."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self._segments: list[str] = []

    @classmethod
    def kind(cls, name: str, value: object) -> Mismatch:
        """The value is of another type than the one called `name`."""
        return cls(f"expected {name}, got {kind_name(value)}")

    def inside(self, segment: str) -> Mismatch:
        """Say that the value lies at `segment` of a larger one."""
        self._segments.append(segment)
        return self

    @classmethod
    def refusal(cls, error: Exception) -> Mismatch:
        """A class of the user's refuses the value itself, in `__post_init__` for example."""
        try:
            message = str(error)
        except Exception:
            message = ""
        return cls(message or type(error).__name__)

    @property
    def path(self) -> str:
        """Where the value is, from the root `$`."""
        segments = self._segments[::-1]
        if len(segments) > MAX_SEGMENTS:
            half = MAX_SEGMENTS // 2
            segments = [*segments[:half], "…", *segments[-half:]]
        return "$" + "".join(segments)


def kind_name(value: object) -> str:
    """Return the name of the value's type as messages show it."""
    return "None" if value is None else type(value).__name__


def key_segment(key: str) -> str:
    """Return the part of a path that leads into a map: `.name` or `['odd name']`."""
    if len(key) > MAX_SEGMENT_CHARS:
        return f"[{key[:MAX_SEGMENT_CHARS]!r}…]"
    return f".{key}" if key.isidentifier() else f"[{key!r}]"


def index_segment(index: int) -> str:
    """Return the part of a path that leads into a list."""
    return f"[{index}]"


def _only(kind: type, name: str, hint: str = "") -> Shape:
    def convert(value: Any) -> Any:
        if type(value) is kind:
            return value
        mismatch = Mismatch.kind(name, value)
        if hint and type(value) in (str, list):
            mismatch = Mismatch(f"{mismatch.message} ({hint})")
        raise mismatch

    return Shape(name, frozenset({kind}), convert, kind)


def _to_float(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise Mismatch("expected float, got an int beyond its range") from None
    raise Mismatch.kind("float", value)


ANYTHING = Shape("Any", EVERY_KIND, None)

NO_BYTES_IN_JSON = "JSON has no bytes: take base64 text and decode it, or use MessagePack"

SCALARS: dict[object, Shape] = {
    object: ANYTHING,
    None: _only(NoneType, "None"),
    NoneType: _only(NoneType, "None"),
    bool: _only(bool, "bool"),
    int: _only(int, "int"),
    float: Shape("float", frozenset({float, int}), _to_float, float),
    str: _only(str, "str"),
    bytes: _only(bytes, "bytes", NO_BYTES_IN_JSON),
    list: _only(list, "list"),
    dict: _only(dict, "dict"),
}
"""The annotations that need no further look. Bare `list` and `dict` pass without a copy."""
