"""Makes the shape of an annotation.

- An `int` parameter accepts neither `True` nor `1.0`; a `float` parameter accepts an `int`.
- Lists, tuples, sets and named tuples are lists on the wire; dataclasses and typed
  dictionaries are maps by field name, of which unknown fields are ignored.
- Enumerations are their values. Bytes are bytes, never base64 text.
- Of a union, the first member that accepts the value wins.
- Of `Annotated`, only the constraints of msgspec are looked at.
- Dates, UUIDs, decimals and paths are refused: there is more than one way to write each of
  them, so a script takes the text and says itself how it is read.
"""

from __future__ import annotations

import collections.abc as abc
import sys
import typing
from enum import Enum
from types import UnionType
from typing import Any

from ._annotation import Scope, describe
from ._instead import no_parameter
from ._record import field_annotations, field_names, is_record, msgspec_makes_alike
from ._shape import ANYTHING, SCALARS, Shape, Unsupported
from ._shape_choices import enumeration, literal, union_of
from ._shape_containers import fixed_tuple, list_of, map_of, set_of, tuple_of
from ._shape_records import Field, Record

LISTS = (list, abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable)
_SETS = (set, abc.Set, abc.MutableSet)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)


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
        if cls in LISTS:
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
        if is_record(cls):
            return self._record(cls, args, scope)
        foreign = _library_shape(cls, args)
        if foreign is None:
            raise Unsupported(no_parameter(cls))
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
        annotations = field_annotations(cls, variables)
        fields = []
        for name, required in field_names(cls, annotations).items():
            annotation, where = annotations.get(name, (Any, scope))
            try:
                fields.append(Field(name, self.make(annotation, where), required))
            except Unsupported as error:
                raise Unsupported(f"field `{name}` of {cls.__name__}: {error}") from error
        record.complete(fields)
        if not msgspec_makes_alike(cls):
            self.msgspec_agrees = False
        return record.shape


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


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
