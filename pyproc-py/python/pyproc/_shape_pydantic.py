"""Shapes of pydantic models, which validate themselves."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, RootModel, ValidationError

from ._shape import EVERY_KIND, Mismatch, Shape, index_segment, key_segment


def model(cls: type[BaseModel]) -> Shape:
    """Return the shape of a pydantic model; what it accepts is for its own rules to say."""
    kinds = EVERY_KIND if issubclass(cls, RootModel) else frozenset({dict})

    def convert(value: Any) -> BaseModel:
        if type(value) not in kinds:
            raise Mismatch.kind(cls.__name__, value)
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise _mismatch(error) from None
        except RecursionError:
            raise
        except Exception as error:
            raise Mismatch.refusal(error) from None

    return Shape(cls.__name__, kinds, convert)


def _mismatch(error: ValidationError) -> Mismatch:
    # One fault is named, as everywhere; the first one is.
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    mismatch = Mismatch(first["msg"])
    for place in reversed(first["loc"]):
        mismatch.inside(key_segment(place) if isinstance(place, str) else index_segment(place))
    return mismatch
