"""Tests of exposed functions, without a worker.

A test imports the module that exposes the function and calls it by its name:

    import iris  # exposes `classify`
    from pyproc import testing

    def test_classify() -> None:
        assert testing.call("classify", {"petal_length": 1.4}) == "setosa"
"""

from __future__ import annotations

from . import _local
from ._registry import REGISTRY, Function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["call"]


def call(
    function: str | Callable[..., object],
    body: object = None,
    *,
    codec: str = "json",
    items: Iterable[object] | None = None,
) -> object:
    """Call an exposed function as a host would, and return what the host would receive.

    `function` is its name or the function itself; `body` is what the host sends, of plain values
    or of dataclasses, and goes through the codec and the binding of arguments, as the result does.
    `items` are those of the argument that is a stream, where the function takes one. What a
    generator yields comes as a list of all of it.

    Raises what the function raises; `FunctionNotFound`, `InvalidArgument`, `InvalidBody` or
    `InvalidResult` where a host would get that error; `SchemaError` where the function's
    signature cannot be served.
    """
    return _local.call(_find(function), body, codec_name=codec, items=items)


def _find(wanted: str | Callable[..., object]) -> Function:
    if isinstance(wanted, str):
        return REGISTRY[wanted]
    for function in REGISTRY:
        if function.call is wanted:
            return function
    return Function(wanted, None, "auto")
