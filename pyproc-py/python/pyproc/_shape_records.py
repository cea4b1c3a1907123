"""Shapes of records: dataclasses, typed dictionaries and named tuples.

A field that the record does not know is ignored, as serde ignores it: the host may be newer
than the script. A field without a default must be there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ._errors import nearest_name
from ._shape import Mismatch, Shape, key_segment
from ._shape_containers import convert_each

_LIST = frozenset({list})
_DICT = frozenset({dict})


class Field(NamedTuple):
    """One field of a record."""

    name: str
    shape: Shape
    required: bool


class Record:
    """The shape of a record, made in two steps because its fields may refer to itself."""

    def __init__(self, cls: Any, name: str) -> None:
        self._cls = cls
        self._is_tuple = issubclass(cls, tuple)
        self._fields: list[tuple[str, type | None, Any, bool]] = []
        self._converts: tuple[Any, ...] = ()
        self._required = 0
        if self._is_tuple:
            self.shape = Shape(name, _LIST, self._to_named_tuple)
        elif issubclass(cls, dict):
            self.shape = Shape(name, _DICT, self._to_typed_dict)
        else:
            self.shape = Shape(name, _DICT, self._to_dataclass)

    def complete(self, fields: list[Field]) -> None:
        """Give the record its fields, in their order."""
        self._fields.extend(
            (name, shape.exact, shape.convert, required) for name, shape, required in fields
        )
        self._converts = tuple(shape.convert for _, shape, _ in fields)
        self._required = sum(required for _, _, required in fields)
        self.shape.is_flat = all(shape.is_scalar for _, shape, _ in fields)

    def _to_dataclass(self, value: Any) -> Any:
        arguments = self._to_fields(value)
        try:
            return self._cls(**arguments)
        except Exception as error:
            raise Mismatch.refusal(error) from None

    def _to_typed_dict(self, value: Any) -> dict[str, Any]:
        fields = self._to_fields(value)
        # The order is the sender's, as it is in every map.
        return {name: fields[name] for name in value if name in fields}

    def _to_fields(self, value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Mismatch.kind(self.shape.name, value)
        result = {}
        name = ""
        try:
            for name, exact, convert, required in self._fields:
                if name in value:
                    item = value[name]
                    if type(item) is exact or convert is None:
                        result[name] = item
                    else:
                        result[name] = convert(item)
                elif required:
                    break
            else:
                return result
        except Mismatch as mismatch:
            raise mismatch.inside(key_segment(name)) from None
        raise self._missing(name, value)

    def _to_named_tuple(self, value: Any) -> Any:
        if type(value) is not list:
            raise Mismatch.kind(self.shape.name, value)
        most = len(self._converts)
        if not self._required <= len(value) <= most:
            count = f"{most}" if most == self._required else f"{self._required} to {most}"
            raise Mismatch(f"expected {count} elements, got {len(value)}")
        return self._cls(*convert_each(value, self._converts))

    def _missing(self, name: str, value: dict[str, Any]) -> Mismatch:
        known = {field[0] for field in self._fields}
        nearest = nearest_name(name, (key for key in value if key not in known))
        hint = f" (there is `{nearest}`)" if nearest else ""
        return Mismatch(f"field `{name}` of {self.shape.name} is missing{hint}")
