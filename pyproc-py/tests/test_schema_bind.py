"""How the body of a call is spread over the parameters of a function."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

import pytest

from pyproc._context import Context
from pyproc._errors import InvalidArgument, SchemaError
from pyproc._schema import analyze

Arguments = tuple[tuple[object, ...], dict[str, object]]


def nothing() -> None: ...
def body(value): ...  # type: ignore[no-untyped-def]
def typed(value: float) -> None: ...
def optional(value: int = 3) -> None: ...
def keyword_only(*, value: int) -> None: ...
def two(left: int, right: int = 2) -> None: ...
def option(value: int, *, verbose: bool = False) -> None: ...
def positional_only(left: int = 1, right: int = 2, /, *, third: int = 3) -> None: ...
def extra(value: int, **options: float) -> None: ...
def only_extra(**options: int) -> None: ...
def spare(value: int, *values: int) -> None: ...
def with_context(value: int, context: Context) -> None: ...
def context_first(context: Context, value: int) -> None: ...
def context_alone(context: Context) -> None: ...
def context_optional(value: int, context: Context | None = None) -> None: ...
def context_and_two(left: int, context: Context, right: int) -> None: ...
def context_extra(context: Context, **options: int) -> None: ...


BOUND: list[tuple[Any, str, Any, Arguments]] = [
    (nothing, "none", {}, ((), {})),
    (nothing, "none", None, ((), {})),
    (body, "body", [1], (([1],), {})),
    (body, "body", None, ((None,), {})),
    (typed, "body", 1, ((1.0,), {})),
    (optional, "body", 1, ((1,), {})),
    (keyword_only, "body", 1, ((), {"value": 1})),
    (two, "keywords", {"right": 1, "left": 0}, ((), {"left": 0, "right": 1})),
    (two, "keywords", {"left": 0}, ((), {"left": 0})),
    (option, "keywords", {"value": 1}, ((), {"value": 1})),
    (option, "keywords", {"value": 1, "verbose": True}, ((), {"value": 1, "verbose": True})),
    (positional_only, "keywords", {"right": 5, "third": 6}, ((1, 5), {"third": 6})),
    (extra, "keywords", {"value": 1, "odd key": 2}, ((), {"value": 1, "odd key": 2.0})),
    (only_extra, "keywords", {"a": 1}, ((), {"a": 1})),
    (only_extra, "keywords", {}, ((), {})),
    (spare, "body", 1, ((1,), {})),
    (with_context, "body", 1, ((1,), {})),
    (context_first, "body", 1, ((), {"value": 1})),
    (context_alone, "none", {}, ((), {})),
    (context_optional, "body", 1, ((1,), {})),
    (context_and_two, "keywords", {"left": 1, "right": 2}, ((), {"left": 1, "right": 2})),
    (context_extra, "keywords", {"a": 1}, ((), {"a": 1})),
]


@pytest.mark.parametrize(("function", "style", "given", "arguments"), BOUND)
def test_a_body_becomes_arguments(
    function: Any, style: str, given: Any, arguments: Arguments
) -> None:
    binding = analyze(function)
    assert binding.arguments == style
    assert binding.bind(given) == arguments


REFUSED: list[tuple[Any, Any, str, str]] = [
    (nothing, {"a": 1}, "$", "argument `a` is unknown: there are none"),
    (nothing, 1, "$", "expected no argument, got int"),
    (typed, "a", "$", "expected float, got str"),
    (two, 1, "$", "expected a map of arguments, got int"),
    (two, None, "$", "expected a map of arguments, got None"),
    (two, {}, "$", "argument `left` is missing"),
    (two, {"lefd": 1}, "$", "argument `left` is missing (there is `lefd`)"),
    (two, {"left": 1, "rigth": 2}, "$", "argument `rigth` is unknown (did you mean `right`?)"),
    (two, {"left": 1, "zzzzzz": 2}, "$", "argument `zzzzzz` is unknown"),
    (two, {"left": "a"}, "$.left", "expected int, got str"),
    (extra, {"value": 1, "odd key": "a"}, "$['odd key']", "expected float, got str"),
    (context_and_two, {"left": 1, "right": 2, "context": 3}, "$", "argument `context` is unknown"),
    (context_extra, {"context": 3}, "$", "argument `context` is unknown"),
]


@pytest.mark.parametrize(("function", "given", "path", "message"), REFUSED)
def test_a_body_that_does_not_fit_is_refused(
    function: Any, given: Any, path: str, message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        analyze(function).bind(given)
    assert (caught.value.path, caught.value.message) == (path, message)


def test_long_names_are_cut_and_many_are_not_all_compared() -> None:
    for function in (nothing, two):
        with pytest.raises(InvalidArgument) as caught:
            analyze(function).bind({"left": 1, "k" * 10_000: 1})
        assert len(str(caught.value)) < 200
    many = {f"name{number}": 1 for number in range(100_000)}
    with pytest.raises(InvalidArgument, match="argument `left` is missing"):
        analyze(two).bind(many)


def test_the_style_can_be_chosen() -> None:
    assert analyze(body, arguments="keywords").bind({"value": 1}) == ((), {"value": 1})
    assert analyze(two, arguments="body").bind(1) == ((1,), {})
    assert analyze(lambda *values: values, arguments="body").bind(1) == ((1,), {})
    assert analyze(nothing, arguments="keywords").arguments == "none"


def test_parameters_are_described_for_the_host() -> None:
    binding = analyze(context_and_two)
    described = [(each.name, each.type, each.required) for each in binding.parameters]
    assert described == [("left", "int", True), ("right", "int", True)]
    assert (binding.returns, binding.context_parameter) == ("None", "context")
    assert analyze(body).returns == "Any"
    assert analyze(two).parameters[1].required is False


def test_decorators_methods_and_callables_are_seen_through() -> None:
    @functools.wraps(two)
    def wrapped(*values: Any, **named: Any) -> None: ...

    class Model:
        def predict(self, value: int) -> None: ...
        def __call__(self, left: Flag, right: int = 1) -> None: ...

    assert [each.name for each in analyze(wrapped).parameters] == ["left", "right"]
    assert analyze(Model().predict).bind(1) == ((1,), {})
    assert [each.type for each in analyze(Model()).parameters] == ["bool", "int"]
    assert analyze(functools.partial(two, 1)).bind(5) == ((5,), {})
    assert analyze(len).bind([1]) == (([1],), {})


Flag = bool


def test_a_context_imported_for_type_checking_is_recognized() -> None:
    for annotation in ("Context", "'Context'", "pyproc.Context"):
        namespace: dict[str, Any] = {}
        exec(f"def function(value, context: {annotation}): ...", namespace)
        assert analyze(namespace["function"]).context_parameter == "context"


def test_plain_functions_need_no_slow_import() -> None:
    """A worker starts often; what its functions do not need must not delay it."""
    program = (
        "import sys; from pyproc._schema import analyze; before = {*sys.modules}\n"
        "def function(left: int, right: 'str' = '', *rest, **options: float) -> None: ...\n"
        "analyze(function).dump([1], binary=False)\n"
        "print({*sys.modules} - before)"
    )
    python_path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={**os.environ, "PYTHONPATH": python_path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


def decorated(*values: object, **named: object) -> None: ...
def two_contexts(left: Context, right: Context) -> None: ...
def early_context(context: Context, /, value: int) -> None: ...


@pytest.mark.parametrize(
    ("function", "style", "message"),
    [
        (decorated, "auto", "has only `*values`, to which no name leads"),
        (two_contexts, "auto", "parameter `right`: there is a `Context` already"),
        (early_context, "auto", "parameter `context`: a `Context` is passed by name"),
        (nothing, "body", "has no parameter that could receive the body"),
        (context_and_two, "body", "parameter `right`: no call can give it"),
        (dict.fromkeys, "auto", None),
        (type, "auto", "its parameters cannot be read"),
    ],
)
def test_a_function_that_no_call_could_serve_is_refused(
    function: Any, style: Any, message: str | None
) -> None:
    if message is None:
        assert analyze(function, arguments=style).arguments == "keywords"
        return
    with pytest.raises(SchemaError) as caught:
        analyze(function, arguments=style)
    assert message in str(caught.value)
    assert f"function `{function.__name__}`" in str(caught.value)
