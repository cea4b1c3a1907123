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


def test_what_kind_of_function_it_is_shows_through_methods_and_partials() -> None:
    class Model:
        async def __call__(self, x: int) -> int:
            return x

        async def predict(self, x: int) -> object:
            yield x

    async def scale(x: int, y: int) -> int:
        return x * y

    def numbers(n: int) -> object:
        yield n

    for function, is_async, is_stream in (
        (scale, True, False),
        (functools.partial(scale, 2), True, False),
        (Model(), True, False),
        (Model().predict, True, True),
        (numbers, False, True),
        (add, False, False),
    ):
        found = Function(function, "f", "auto")
        assert (found.is_async, found.is_stream) == (is_async, is_stream), function


def test_a_missing_function_is_told_with_the_nearest_name() -> None:
    expose(add)
    with pytest.raises(FunctionNotFound, match=r"function `ad` .* \(did you mean `add`\?\)"):
        REGISTRY["ad"]
