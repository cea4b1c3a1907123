"""What `@expose` takes and refuses."""

from __future__ import annotations

import functools

import pytest

from pyproc import FunctionNotFound, RegistrationError, expose
from pyproc._registry import REGISTRY, Function, Registry


def add(x: int) -> int:
    return x + 1


def test_functions_keep_their_order_and_health_comes_last() -> None:
    registry = Registry()
    for name in ("c", "a", "b"):
        registry.add(Function(add, name, "auto"))
    assert [each.name for each in registry.complete()] == ["c", "a", "b", "health"]


def test_a_name_that_is_taken_names_both_places() -> None:
    expose(add)

    with pytest.raises(RegistrationError) as error:

        @expose(name="add")
        def other() -> None: ...

    text = str(error.value)
    assert text.startswith("two functions are called `add`: one at ")
    assert text.count("test_registry.py:") == 2


def test_the_same_lines_may_be_imported_again() -> None:
    expose(add)
    expose(add)
    assert [each.name for each in REGISTRY] == ["add", "health"]


def test_callables_of_other_kinds() -> None:
    class Model:
        def __call__(self, x: int) -> int:
            return x

        def predict(self, x: int) -> int:
            return x

    expose(name="model")(Model())
    expose(Model().predict)
    expose(name="partial")(functools.partial(add, 1))
    expose(name="length")(len)
    assert [each.name for each in REGISTRY] == ["model", "predict", "partial", "length", "health"]
    with pytest.raises(RegistrationError, match=r'give it one: `@expose\(name="…"\)`'):
        expose(Model())


def test_what_this_version_does_not_serve_is_refused_at_once() -> None:
    async def coroutine() -> None: ...

    async def stream() -> object:
        yield

    for function, what in (
        (coroutine, "an async function"),
        (stream, "an async generator"),
    ):
        with pytest.raises(RegistrationError, match=f"is {what}, which this version"):
            expose(function)


def test_a_missing_function_is_told_with_the_nearest_name() -> None:
    expose(add)
    with pytest.raises(FunctionNotFound, match=r"function `ad` .* \(did you mean `add`\?\)"):
        REGISTRY["ad"]
