"""How the body of a call becomes the arguments of a function, and its result a body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ._errors import InvalidArgument, InvalidResult, SchemaError

__all__ = ["Binding", "InvalidArgument", "InvalidResult", "Parameter", "SchemaError", "analyze"]


class Parameter(NamedTuple):
    """One parameter of an exposed function, as the host is told about it."""

    name: str
    type: str
    required: bool


class Binding:
    """What was worked out about a function once, so that a call costs little."""

    arguments: Literal["body", "keywords", "none"]
    parameters: tuple[Parameter, ...]
    returns: str
    context_parameter: str | None

    def bind(self, body: object) -> tuple[tuple[object, ...], dict[str, object]]:
        """Return the positional and keyword arguments for one call."""
        return (body,), {}

    def dump(self, result: object, *, binary: bool) -> object:
        """Return the result as what codecs carry."""
        return result


def analyze(
    function: Callable[..., object],
    *,
    arguments: Literal["auto", "body", "keywords"] = "auto",
) -> Binding:
    """Work out how `function` is called."""
    binding = Binding()
    binding.arguments = "body"
    binding.parameters = ()
    binding.returns = "Any"
    binding.context_parameter = None
    return binding
