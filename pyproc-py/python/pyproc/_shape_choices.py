"""Shapes that choose: unions, literals and enumerations."""

from __future__ import annotations

from enum import Enum
from typing import Any

from ._shape import ANYTHING, Mismatch, NoneType, Shape, Unsupported, kind_name

_CHOICE_KINDS = (NoneType, bool, int, float, str)
_MAX_SHOWN = 10
_MAX_SHOWN_CHARS = 64


def union_of(members: list[Shape]) -> Shape:
    """Return the shape of a union: the first member that accepts the value wins.

    This is the rule of serde's untagged enums, with one refinement: an `int` becomes a
    `float` only where no other member takes it.
    """
    if any(member.convert is None for member in members):
        return ANYTHING
    name = " | ".join(dict.fromkeys(member.name for member in members))
    by_kind: dict[type, list[Shape]] = {}
    for member in members:
        for kind in member.kinds:
            by_kind.setdefault(kind, []).append(member)
    for kind, candidates in by_kind.items():
        candidates.sort(key=lambda member: member.exact is float and kind is int)

    def convert(value: Any) -> Any:
        candidates = by_kind.get(type(value))
        if candidates is None:
            raise Mismatch.kind(name, value)
        if len(candidates) == 1:
            return candidates[0].convert(value)  # type: ignore[misc]
        for candidate in candidates:
            try:
                return candidate.convert(value)  # type: ignore[misc]
            except Mismatch:
                continue
        names = ", ".join(dict.fromkeys(candidate.name for candidate in candidates))
        raise Mismatch(f"this {kind_name(value)} fits none of {names}")

    return Shape(name, frozenset(by_kind), convert)


def literal(values: tuple[Any, ...]) -> Shape:
    """Return the shape of one of a few constants."""
    name = f"Literal[{', '.join(map(repr, values))}]"
    for value in values:
        if type(value) not in _CHOICE_KINDS:
            raise Unsupported(f"{name} holds {value!r}; None, bool, int and str can be sent")
    return _choice(name, {(type(value), value): value for value in values})


def enumeration(cls: type[Enum]) -> Shape:
    """Return the shape of an enumeration, whose members are sent as their values."""
    members = {}
    for member in cls.__members__.values():
        value = member.value
        if type(value) not in _CHOICE_KINDS:
            raise Unsupported(
                f"the value of {member} is {type(value).__name__}; "
                "None, bool, int, float and str can be sent"
            )
        members[type(value), value] = member
    # Members that a class computes on demand: combined flags, and what `_missing_` finds.
    computes = cls._missing_.__func__ is not Enum._missing_.__func__  # type: ignore[attr-defined]
    return _choice(cls.__name__, members, cls if computes else None)


def _choice(
    name: str, choices: dict[tuple[type, Any], Any], compute: type[Enum] | None = None
) -> Shape:
    kinds = frozenset(kind for kind, _ in choices)
    shown = ", ".join(repr(value) for _, value in list(choices)[:_MAX_SHOWN])
    if len(choices) > _MAX_SHOWN:
        shown += ", …"

    def convert(value: Any) -> Any:
        kind = type(value)
        if kind not in kinds:
            raise Mismatch.kind(name, value)
        # The type is a part of the key because `1 == True == 1.0` in Python.
        try:
            return choices[kind, value]
        except KeyError:
            pass
        if compute is not None:
            try:
                return compute(value)
            except (TypeError, ValueError):
                pass
            except Exception as error:
                raise Mismatch.refusal(error) from None
        got = repr(value[:_MAX_SHOWN_CHARS]) if kind is str else repr(value)
        raise Mismatch(f"expected one of {shown}, got {got}")

    return Shape(name, kinds, convert)
