"""What a record class declares: its fields, their annotations, and which must be there."""

from __future__ import annotations

import typing
from typing import Any

from ._annotation import Scope
from ._shape import Unsupported


def is_record(cls: type) -> bool:
    """Tell whether the class is a dataclass, a typed dictionary or a named tuple."""
    if issubclass(cls, tuple):
        return hasattr(cls, "_fields")
    if issubclass(cls, dict):
        return hasattr(cls, "__required_keys__")
    return hasattr(cls, "__dataclass_fields__")


def msgspec_makes_alike(cls: Any) -> bool:
    """Tell whether msgspec's instances of a record cannot be told from those of its class."""
    if issubclass(cls, tuple):
        return cls.__new__ is next(c for c in cls.__mro__ if "_fields" in vars(c)).__new__
    return issubclass(cls, dict) or _has_plain_constructor(cls)


def field_annotations(cls: Any, variables: Any) -> dict[str, tuple[Any, Scope]]:
    """Return the annotations of a class and its bases, each with the scope it is written in."""
    # It takes longer to import than most of this package, and few functions take records.
    from inspect import get_annotations

    found: dict[str, tuple[Any, Scope]] = {}
    scope = Scope.of_class(cls, variables)
    for base in reversed(vars(cls).get("__orig_bases__", cls.__bases__)):
        origin = typing.get_origin(base) or base
        if isinstance(origin, type) and origin not in (object, tuple, dict, typing.Generic):
            values = ((arg, scope) for arg in typing.get_args(base))
            given = dict(zip(getattr(origin, "__parameters__", ()), values, strict=False))
            found.update(field_annotations(origin, given))
    try:
        own = get_annotations(cls)
    except NameError as error:  # From Python 3.14 on, they are evaluated only now.
        raise Unsupported(f"an annotation of {cls.__name__} needs `{error.name}`") from error
    for name, annotation in own.items():
        # A TypedDict repeats what it inherits, but its own scope does not fit that.
        if name not in found or found[name][0] is not annotation:
            found[name] = (annotation, scope)
    return found


def field_names(cls: Any, annotations: dict[str, tuple[Any, Scope]]) -> dict[str, bool]:
    """Return the names of the fields in their order, and whether each must be there."""
    if issubclass(cls, tuple):
        return {name: name not in cls._field_defaults for name in cls._fields}
    if issubclass(cls, dict):
        return {
            name: _is_required(annotation, scope, name in cls.__required_keys__)
            for name, (annotation, scope) in annotations.items()
        }
    return _dataclass_fields(cls)


def _is_required(annotation: Any, scope: Scope, otherwise: bool) -> bool:
    # The interpreter does not see `NotRequired` in annotations that are strings.
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    try:
        annotation = scope.resolve(annotation)
    except Unsupported:
        return otherwise
    while (origin := typing.get_origin(annotation)) is not None:
        name = getattr(origin, "_name", None)
        if name in ("Required", "NotRequired"):
            return bool(name == "Required")
        if name != "ReadOnly" and origin is not typing.Annotated:
            break
        annotation = typing.get_args(annotation)[0]
    return otherwise


def _dataclass_fields(cls: Any) -> dict[str, bool]:
    """Return which fields are given to the class when it is called, and which must be."""
    from dataclasses import MISSING

    return {
        field.name: field.default is MISSING and field.default_factory is MISSING
        for field in cls.__dataclass_fields__.values()
        if field.init and _kind(field) != "_FIELD_CLASSVAR"
    }


def _has_plain_constructor(cls: Any) -> bool:
    """Tell whether making an instance does nothing but set the fields and post-initialize.

    msgspec does just that, without calling the class. Where a class does more, or less, the
    standard-library converter is the one that is right. It is so too where instances have a
    `__dict__`: msgspec fills that in the order of the message and leaves defaults out, so that
    `vars(flower)` would depend on who is sending, and on whether msgspec is installed.
    """
    code = getattr(cls.__init__, "__code__", None)
    # Methods that the decorator wrote are compiled from a string.
    written = code is not None and code.co_filename == "<string>"
    usual = all(
        field.init and _kind(field) == "_FIELD"
        for field in cls.__dataclass_fields__.values()
        if _kind(field) != "_FIELD_CLASSVAR"
    )
    return written and usual and not cls.__dictoffset__ and cls.__new__ is object.__new__


def _kind(field: Any) -> str:
    # `dataclasses.fields` leaves out the `InitVar`s, which are arguments all the same.
    return str(field._field_type.name)
