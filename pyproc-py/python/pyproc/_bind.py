"""Makes the functions that turn the body of a call into arguments."""

from __future__ import annotations

from ._errors import InvalidArgument, nearest_name
from ._shape import MAX_SEGMENT_CHARS, Mismatch, Shape, key_segment, kind_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, TypeAlias

    from ._shape import Convert
    from ._signature import RawParameter

    Arguments: TypeAlias = tuple[tuple[object, ...], dict[str, object]]
    Bind: TypeAlias = Callable[[object], Arguments]


def nothing_binder() -> Bind:
    """Return the binder of a function without parameters."""

    def bind(body: Any) -> Arguments:
        if body is None or body == {}:
            return (), {}
        if type(body) is dict:
            name = next(iter(body))[:MAX_SEGMENT_CHARS]
            raise InvalidArgument("$", f"argument `{name}` is unknown: there are none")
        raise InvalidArgument("$", f"expected no argument, got {kind_name(body)}")

    return bind


def body_binder(name: str | None, convert: Convert | None) -> Bind:
    """Return the binder of a function that receives the body whole, by name or by position."""
    if convert is None:
        if name is None:
            return lambda body: ((body,), {})
        return lambda body: ((), {name: body})

    def bind(body: object) -> Arguments:
        try:
            value = convert(body)
        except Mismatch as mismatch:
            raise InvalidArgument(mismatch.path, mismatch.message) from None
        return ((value,), {}) if name is None else ((), {name: value})

    return bind


def keywords_binder(
    parameters: list[RawParameter],
    shapes: list[Shape],
    rest: Shape | None,
    reserved: str | None,
) -> Bind:
    """Return the binder of a function that receives the entries of the body by name.

    `rest` is the shape of the entries that no parameter names, where the function takes them;
    `reserved` is the name that they may not have.
    """
    table = [
        (parameter.name, shape.convert, parameter.required)
        for parameter, shape in zip(parameters, shapes, strict=True)
    ]
    positional = [parameter for parameter in parameters if not parameter.by_name]
    known = {parameter.name for parameter in parameters}

    def bind(body: Any) -> Arguments:
        if type(body) is not dict:
            raise InvalidArgument("$", f"expected a map of arguments, got {kind_name(body)}")
        named: dict[str, object] = {}
        for name, convert, required in table:
            if name in body:
                value = body[name]
                named[name] = value if convert is None else convert_entry(name, convert, value)
            elif required:
                _refuse_missing(name, [key for key in body if key not in known])
        if len(named) != len(body):
            add_rest(named, body)
        if positional:
            return take_positional(named), named
        return (), named

    def add_rest(named: dict[str, object], body: dict[str, Any]) -> None:
        for name, value in body.items():
            if name in known:
                continue
            if rest is None or name == reserved:
                _refuse_unknown(name, known)
            named[name] = (
                value if rest.convert is None else convert_entry(name, rest.convert, value)
            )

    def take_positional(named: dict[str, object]) -> tuple[object, ...]:
        # One that is left out needs its default here, because a later one may be given.
        return tuple(named.pop(each.name, each.default) for each in positional)

    return bind


def convert_entry(name: str, convert: Convert, value: object) -> object:
    """Convert the value of a parameter. Raises `InvalidArgument`, which names it."""
    try:
        return convert(value)
    except Mismatch as mismatch:
        mismatch.inside(key_segment(name))
        raise InvalidArgument(mismatch.path, mismatch.message) from None


def _refuse_missing(name: str, unknown: list[str]) -> NoReturn:
    nearest = nearest_name(name, unknown)
    hint = f" (there is `{nearest}`)" if nearest else ""
    raise InvalidArgument("$", f"argument `{name}` is missing{hint}")


def _refuse_unknown(name: str, known: set[str]) -> NoReturn:
    nearest = nearest_name(name, known)
    hint = f" (did you mean `{nearest}`?)" if nearest else ""
    raise InvalidArgument("$", f"argument `{name[:MAX_SEGMENT_CHARS]}` is unknown{hint}")
