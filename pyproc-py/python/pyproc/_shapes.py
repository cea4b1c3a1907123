"""Makes the shape of an annotation."""

from __future__ import annotations

import collections.abc as abc
import sys
import typing
from enum import Enum
from types import UnionType
from typing import Any

from ._annotation import Scope, describe
from ._shape import ANYTHING, SCALARS, Shape, Unsupported
from ._shape_choices import enumeration, literal, union_of
from ._shape_containers import fixed_tuple, list_of, map_of, set_of, tuple_of
from ._shape_records import Field, Record, dataclass_fields, has_plain_constructor

_LISTS = (list, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable)
_SETS = (set, abc.Set, abc.MutableSet)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)

_HINTS = {
    "bytearray": "take `bytes`",
    "datetime.date": "take `str` and call `date.fromisoformat`",
    "datetime.datetime": "take `str` and call `datetime.fromisoformat`",
    "datetime.time": "take `str` and call `time.fromisoformat`",
    "datetime.timedelta": "take a number of seconds as `float`",
    "decimal.Decimal": "take `str` and call `Decimal`",
    "numpy.ndarray": "take `list[float]` and call `numpy.asarray`",
    "pandas.DataFrame": "take `dict[str, list[float]]` and call `pandas.DataFrame`",
    "pathlib.Path": "take `str` and call `Path`",
    "uuid.UUID": "take `str` and call `UUID`",
}


class Shapes:
    """Makes shapes, and remembers those of the classes, which may refer to themselves."""

    def __init__(self) -> None:
        self._records: dict[object, Shape] = {}
        self._depth = 0
        self.msgspec_agrees = True
        """Whether msgspec, where it takes the annotation, converts the same values alike."""

    def make(self, annotation: Any, scope: Scope) -> Shape:
        """Return the shape of `annotation`, as written in `scope`.

        Raises `Unsupported` where values cannot be converted to it.
        """
        annotation = scope.resolve(annotation)
        if _hashable(annotation) and annotation in SCALARS:
            return SCALARS[annotation]
        if self._depth > 100:
            raise Unsupported(f"the annotation `{describe(annotation)}` refers to itself")
        self._depth += 1
        try:
            return self._make(annotation, scope)
        finally:
            self._depth -= 1

    def _make(self, annotation: Any, scope: Scope) -> Shape:
        if annotation is Any:
            return ANYTHING
        if isinstance(annotation, typing.ForwardRef):
            return self._forward(annotation, scope)
        if isinstance(annotation, typing.TypeVar):
            return self._variable(annotation, scope)
        supertype = getattr(annotation, "__supertype__", None)  # NewType
        if supertype is not None:
            return self.make(supertype, scope)
        if type(annotation).__name__ == "TypeAliasType":
            return self.make(annotation.__value__, scope)
        if type(annotation).__name__ == "InitVar":
            return self.make(annotation.type, scope)
        origin = typing.get_origin(annotation)
        if origin is None:
            return self._class(annotation, (), scope)
        return self._generic(annotation, origin, typing.get_args(annotation), scope)

    def _generic(self, annotation: Any, origin: Any, args: tuple[Any, ...], scope: Scope) -> Shape:
        if origin is typing.Union or origin is UnionType:
            return union_of([self.make(arg, scope) for arg in args])
        if origin is typing.Literal:
            return literal(args)
        if origin is typing.Annotated:
            return self._annotated(annotation, scope)
        if getattr(origin, "_name", None) in ("Required", "NotRequired", "ReadOnly", "Final"):
            return self.make(args[0], scope)
        bare = annotation is typing.Tuple  # noqa: UP006
        if origin is tuple and not bare and args[-1:] != (Ellipsis,):
            # Python 3.10 gives the arguments of `Tuple[()]` as one empty tuple.
            return fixed_tuple(tuple(self.make(arg, scope) for arg in args if arg != ()))
        return self._class(origin, args, scope)

    def _class(self, cls: Any, args: tuple[Any, ...], scope: Scope) -> Shape:
        if cls in _LISTS:
            return list_of(self._argument(args, 0, scope))
        if cls is tuple:
            return tuple_of(self._argument(args, 0, scope))
        if cls in _SETS or cls is frozenset:
            kind = frozenset if cls is frozenset else set
            return set_of(self._argument(args, 0, scope), kind)
        if cls in _MAPS:
            return self._map(args, scope)
        if not isinstance(cls, type):
            raise Unsupported(f"the annotation `{describe(cls)}` has no meaning for values")
        if issubclass(cls, Enum):
            return enumeration(cls)
        if _is_record(cls):
            return self._record(cls, args, scope)
        foreign = _library_shape(cls, args)
        if foreign is None:
            raise _unsupported(cls)
        self.msgspec_agrees &= foreign[1]
        return foreign[0]

    def _argument(self, args: tuple[Any, ...], index: int, scope: Scope) -> Shape:
        return self.make(args[index], scope) if args else ANYTHING

    def _map(self, args: tuple[Any, ...], scope: Scope) -> Shape:
        key = self.make(args[0], scope) if args else SCALARS[str]
        if key.convert is not None and key.kinds != {str}:
            raise Unsupported(f"maps are sent with text as keys, not with {key.name}")
        return map_of(key, self._argument(args, 1, scope))

    def _forward(self, reference: typing.ForwardRef, scope: Scope) -> Shape:
        module = getattr(reference, "__forward_module__", None)
        if isinstance(module, str):
            module = sys.modules.get(module)
        inner = scope if module is None else Scope(vars(module), scope.own_names, scope.variables)
        return self.make(reference.__forward_arg__, inner)

    def _variable(self, variable: typing.TypeVar, scope: Scope) -> Shape:
        if variable in scope.variables:
            return self.make(*scope.variables[variable])
        if variable.__constraints__:
            return union_of([self.make(each, scope) for each in variable.__constraints__])
        bound = variable.__bound__
        return ANYTHING if bound is None else self.make(bound, scope)

    def _annotated(self, annotation: Any, scope: Scope) -> Shape:
        msgspec = sys.modules.get("msgspec")
        if msgspec and any(isinstance(each, msgspec.Meta) for each in annotation.__metadata__):
            from ._shape_msgspec import leaf

            inner = self.make(annotation.__origin__, scope)
            return leaf(annotation, inner.name, inner.kinds)
        return self.make(annotation.__origin__, scope)

    def _record(self, cls: Any, args: tuple[Any, ...], scope: Scope) -> Shape:
        values = [
            scope.variables.get(arg, (arg, scope)) if _hashable(arg) else (arg, scope)
            for arg in args
        ]
        variables = dict(zip(getattr(cls, "__parameters__", ()), values, strict=False))
        key = (cls, tuple((arg if _hashable(arg) else repr(arg), where) for arg, where in values))
        if key in self._records:
            return self._records[key]
        record = Record(cls, cls.__name__)
        self._records[key] = record.shape
        annotations = _annotations(cls, variables)
        fields = []
        for name, required in _record_fields(cls, annotations).items():
            annotation, where = annotations.get(name, (Any, scope))
            try:
                fields.append(Field(name, self.make(annotation, where), required))
            except Unsupported as error:
                raise Unsupported(f"field `{name}` of {cls.__name__}: {error}") from error
        record.complete(fields)
        if not _msgspec_makes_alike(cls):
            self.msgspec_agrees = False
        return record.shape


def _is_record(cls: type) -> bool:
    if issubclass(cls, tuple):
        return hasattr(cls, "_fields")
    if issubclass(cls, dict):
        return hasattr(cls, "__required_keys__")
    return hasattr(cls, "__dataclass_fields__")


def _msgspec_makes_alike(cls: Any) -> bool:
    if issubclass(cls, tuple):
        return cls.__new__ is next(c for c in cls.__mro__ if "_fields" in vars(c)).__new__
    return issubclass(cls, dict) or has_plain_constructor(cls)


def _annotations(cls: Any, variables: Any) -> dict[str, tuple[Any, Scope]]:
    """Return the annotations of a class and its bases, each with the scope it is written in."""
    from inspect import get_annotations

    found: dict[str, tuple[Any, Scope]] = {}
    scope = Scope.of_class(cls, variables)
    for base in reversed(vars(cls).get("__orig_bases__", cls.__bases__)):
        origin = typing.get_origin(base) or base
        if isinstance(origin, type) and origin not in (object, tuple, dict, typing.Generic):
            values = ((arg, scope) for arg in typing.get_args(base))
            given = dict(zip(getattr(origin, "__parameters__", ()), values, strict=False))
            found.update(_annotations(origin, given))
    try:
        own = get_annotations(cls)
    except NameError as error:  # From Python 3.14 on, they are evaluated only now.
        raise Unsupported(f"an annotation of {cls.__name__} needs `{error.name}`") from error
    for name, annotation in own.items():
        # A TypedDict repeats what it inherits, but its own scope does not fit that.
        if name not in found or found[name][0] is not annotation:
            found[name] = (annotation, scope)
    return found


def _record_fields(cls: Any, annotations: dict[str, tuple[Any, Scope]]) -> dict[str, bool]:
    """Return the names of the fields in their order, and whether each must be there."""
    if issubclass(cls, tuple):
        return {name: name not in cls._field_defaults for name in cls._fields}
    if issubclass(cls, dict):
        return {
            name: _is_required(annotation, scope, name in cls.__required_keys__)
            for name, (annotation, scope) in annotations.items()
        }
    return dataclass_fields(cls)


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


def _library_shape(cls: type, args: tuple[Any, ...]) -> tuple[Shape, bool] | None:
    """Return the shape of a class of msgspec or pydantic, and whether msgspec can have it."""
    msgspec = sys.modules.get("msgspec")
    if msgspec is not None and issubclass(cls, msgspec.Struct):
        from ._shape_msgspec import struct

        return struct(cls, args), True
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(cls, pydantic.BaseModel):
        from ._shape_pydantic import model

        return model(cls), False
    return None


def _unsupported(cls: type) -> Unsupported:
    # Python 3.13 says where `pathlib` keeps its classes, which is nobody's business.
    module = cls.__module__.removesuffix("._local")
    name = cls.__name__ if module == "builtins" else f"{module}.{cls.__name__}"
    hint = _HINTS.get(name, "take a dataclass, a TypedDict or plain values instead")
    return Unsupported(f"no value can be converted to `{name}`; {hint}")


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
