"""One table of what annotations mean, with the standard library alone and with msgspec."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Dict, List, Literal, Optional, Tuple, Union  # noqa: UP035

import pytest
import schema_types as types

from pyproc._errors import InvalidArgument
from pyproc._schema import Binding, analyze

msgspec_is_there = importlib.util.find_spec("msgspec") is not None

CONVERTERS = [
    "stdlib",
    pytest.param(
        "msgspec",
        marks=pytest.mark.skipif(not msgspec_is_there, reason="msgspec is not installed"),
    ),
]

FLOWER = {"petal_length": 1.5}

ACCEPTED: list[tuple[Any, Any, Any]] = [
    # Scalars
    (bool, True, True),
    (int, 3, 3),
    (int, 2**53 + 1, 2**53 + 1),
    (int, 2**64 - 1, 2**64 - 1),
    (int, -(2**63), -(2**63)),
    (float, 1.5, 1.5),
    (float, 3, 3.0),
    (str, "é", "é"),
    (bytes, b"\xff", b"\xff"),
    (None, None, None),
    (Any, [1, {"a": None}], [1, {"a": None}]),
    (object, "x", "x"),
    (types.Meters, 2, 2.0),
    (Annotated[int, "a remark"], 4, 4),
    ("int", 5, 5),
    # Containers
    (list, [1, "a"], [1, "a"]),
    (list[int], [1, 2], [1, 2]),
    (list[float], [1, 2.5], [1.0, 2.5]),
    (list[Any], [1, "a"], [1, "a"]),
    (List[int], [], []),  # noqa: UP006
    (List, [1], [1]),  # noqa: UP006
    (Sequence[int], [1], [1]),
    (tuple, [1, "a"], (1, "a")),
    (Tuple, [1, "a"], (1, "a")),  # noqa: UP006
    (tuple[int, ...], [1, 2], (1, 2)),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[()], [], ()),
    (Tuple[()], [], ()),  # noqa: UP006
    (set, [1, 1, 2], {1, 2}),
    (set[float], [1, 2], {1.0, 2.0}),
    (frozenset[str], ["a", "b"], frozenset({"a", "b"})),
    (dict, {"a": 1}, {"a": 1}),
    (dict[str, float], {"a": 1}, {"a": 1.0}),
    (Dict[str, Any], {"a": b"x"}, {"a": b"x"}),  # noqa: UP006
    (Mapping[str, list[int]], {"a": [1]}, {"a": [1]}),
    (dict[types.Color, int], {"red": 1}, {types.Color.RED: 1}),
    (dict[Literal["a", "b"], int], {"a": 1}, {"a": 1}),
    # Choices
    (Optional[int], None, None),  # noqa: UP045
    (Union[int, str], "a", "a"),  # noqa: UP007
    (int | str | None, 1, 1),
    (float | None, 1, 1.0),
    (int | float, 1, 1),
    (float | int, 1, 1),
    (float | int, 1.0, 1.0),
    (str | bytes, b"a", b"a"),
    (list[int] | dict[str, int], {"a": 1}, {"a": 1}),
    (int | Any, "x", "x"),
    (types.Cat | types.Dog, {"bark": 2}, types.Dog(2)),
    (types.Flower | None, FLOWER, types.Flower(1.5)),
    (types.Small, "a", "a"),
    (types.Small, 1, 1),
    (types.Small, None, None),
    (Literal[1] | float, 1, 1),
    (types.Color, "green", types.Color.GREEN),
    (types.Level, 2, types.Level.HIGH),
    (types.Mixed, "word", types.Mixed.WORD),
    (types.Mixed, 1, types.Mixed.ONE),
    (types.Mixed, 0.5, types.Mixed.HALF),
    (types.Mixed, None, types.Mixed.NOTHING),
    (types.Bits, 3, types.Bits.READ | types.Bits.WRITE),
    (types.Forgiving, "YES", types.Forgiving.YES),
    # Records
    (types.Flower, FLOWER, types.Flower(1.5)),
    (types.Flower, {**FLOWER, "newer": 1}, types.Flower(1.5)),
    (types.Flower, {**FLOWER, "tags": ["a"]}, types.Flower(1.5, 0.5, ["a"])),
    ("types.Flower", FLOWER, types.Flower(1.5)),
    ("list[types.Flower]", [FLOWER], [types.Flower(1.5)]),
    (list["types.Flower"], [FLOWER], [types.Flower(1.5)]),
    (
        types.Garden,
        {"best": FLOWER, "others": {"b": FLOWER}, "color": "red"},
        types.Garden(types.Flower(1.5), {"b": types.Flower(1.5)}, types.Color.RED),
    ),
    (types.Slotted, {"name": "a", "petals": [1]}, types.Slotted("a", 7, [1.0])),
    (
        list[types.SlottedTree],
        [{"name": "a", "children": [{"name": "b"}], "leaf": {"name": "c"}}],
        [types.SlottedTree("a", types.Slotted("c"), [types.SlottedTree("b")])],
    ),
    (types.Tree, {"name": "a", "children": [{"name": "b"}]}, types.Tree("a", [types.Tree("b")])),
    (types.Box, {"item": "x"}, types.Box("x")),
    (types.Box[float], {"item": 1, "more": [2]}, types.Box(1.0, [2.0])),
    (types.Box[types.Box[int]], {"item": {"item": 1}}, types.Box(types.Box(1))),
    (types.IntBox, {"item": 1, "label": "l"}, types.IntBox(1, [], "l")),
    (types.Chain[int], {"item": 1, "next": {"item": 2}}, types.Chain(1, types.Chain(2))),
    (types.Positive, {"number": 1}, types.Positive(1)),
    (types.Computed, {"side": 2}, types.Computed(2.0)),
    (types.Computed, {"side": 2, "area": 99.0}, types.Computed(2.0)),
    (types.Scaled, {"value": 2, "factor": 3}, types.Scaled(6.0)),
    (types.OwnInit, {"name": "a"}, types.OwnInit("a")),
    (types.Movie, {"name": "a", "more": 1}, {"name": "a"}),
    (types.Movie, {"name": "a", "year": 1}, {"name": "a", "year": 1}),
    (types.Partial, {"name": "a"}, {"name": "a"}),
    (types.Sequel, {"name": "a", "part": 2}, {"name": "a", "part": 2}),
    (types.Point, [1], types.Point(1.0, 0.0)),
    (types.Point, [1, 2], types.Point(1.0, 2.0)),
]

REFUSED: list[tuple[Any, Any, str, str]] = [
    # Scalars
    (bool, 1, "$", "expected bool, got int"),
    (int, True, "$", "expected int, got bool"),
    (int, 1.0, "$", "expected int, got float"),
    (int, "1", "$", "expected int, got str"),
    (int, None, "$", "expected int, got None"),
    (float, True, "$", "expected float, got bool"),
    (float, "nan", "$", "expected float, got str"),
    (float, 10**400, "$", "expected float, got an int beyond its range"),
    (str, b"x", "$", "expected str, got bytes"),
    (
        bytes,
        "aGk=",
        "$",
        "expected bytes, got str "
        "(JSON has no bytes: take base64 text and decode it, or use MessagePack)",
    ),
    (None, 0, "$", "expected None, got int"),
    (types.Meters, "far", "$", "expected float, got str"),
    # Containers
    (list, {}, "$", "expected list, got dict"),
    (list[int], "12", "$", "expected list[int], got str"),
    (list[int], [1, "2"], "$[1]", "expected int, got str"),
    (list[list[float]], [[1.0], [1.0, None]], "$[1][1]", "expected float, got None"),
    (tuple[int, str], [1], "$", "expected 2 elements, got 1"),
    (tuple[int, str], ["a", 1], "$[0]", "expected int, got str"),
    (tuple[()], [1], "$", "expected 0 elements, got 1"),
    (set[int], {"a": 1}, "$", "expected set[int], got dict"),
    (set, ["a", []], "$[1]", "a list cannot be an element of a set"),
    (dict[str, int], {"a": 1, "b": "2"}, "$.b", "expected int, got str"),
    (dict[str, int], {"odd key": "2"}, "$['odd key']", "expected int, got str"),
    (dict[str, list[int]], {"a": [1, None]}, "$.a[1]", "expected int, got None"),
    (
        dict[types.Color, int],
        {"blue": 1},
        "$.blue",
        "expected one of 'red', 'green', got 'blue'",
    ),
    # Choices
    (int | None, "a", "$", "expected int | None, got str"),
    (list[int] | None, ["a"], "$[0]", "expected int, got str"),
    (types.Cat | types.Dog, {"moo": 1}, "$", "this dict fits none of Cat, Dog"),
    (Literal["a", "b"], "c", "$", "expected one of 'a', 'b', got 'c'"),
    (Literal["a", "b"], 1, "$", "expected Literal['a', 'b'], got int"),
    (Literal[1], True, "$", "expected Literal[1], got bool"),
    (types.Color, "blue", "$", "expected one of 'red', 'green', got 'blue'"),
    (types.Color, 1, "$", "expected Color, got int"),
    (types.Level, True, "$", "expected Level, got bool"),
    (types.Level, 1.0, "$", "expected Level, got float"),
    (types.Forgiving, "no", "$", "expected one of 'yes', got 'no'"),
    # Records
    (types.Flower, 3, "$", "expected Flower, got int"),
    (types.Flower, {"petal_length": "long"}, "$.petal_length", "expected float, got str"),
    (types.Flower, {}, "$", "field `petal_length` of Flower is missing"),
    (
        types.Flower,
        {"petal_lenght": 1.0},
        "$",
        "field `petal_length` of Flower is missing (there is `petal_lenght`)",
    ),
    (types.Flower, {**FLOWER, "tags": ["a", 1]}, "$.tags[1]", "expected str, got int"),
    (
        types.Garden,
        {"best": FLOWER, "others": {"b": {"petal_length": None}}},
        "$.others.b.petal_length",
        "expected float, got None",
    ),
    (
        types.Tree,
        {"name": "a", "children": [{"name": "b", "children": [{}]}]},
        "$.children[0].children[0]",
        "field `name` of Tree is missing",
    ),
    (types.Box[int], {"item": 1, "more": [1.5]}, "$.more[0]", "expected int, got float"),
    (types.IntBox, {"item": "a"}, "$.item", "expected int, got str"),
    (types.Chain[int], {"item": 1, "next": {"item": "2"}}, "$.next.item", "expected int, got str"),
    (types.Slotted, {"name": "a", "petals": [1, "2"]}, "$.petals[1]", "expected float, got str"),
    (types.Positive, {"number": -1}, "$", "number must be positive"),
    (types.Scaled, {"value": 2, "factor": "a"}, "$.factor", "expected float, got str"),
    (types.OwnInit, {"name": 3}, "$.name", "expected str, got int"),
    (types.Movie, {"year": 1}, "$", "field `name` of Movie is missing"),
    (types.Movie, {"name": "a", "year": "b"}, "$.year", "expected int, got str"),
    (types.Partial, {"year": 1}, "$", "field `name` of Partial is missing"),
    (types.Sequel, {"name": 1, "part": 2}, "$.name", "expected str, got int"),
    (types.Point, {"x": 1.0}, "$", "expected Point, got dict"),
    (types.Point, [], "$", "expected 1 to 2 elements, got 0"),
    (types.Point, [1.0, 2.0, 3.0], "$", "expected 1 to 2 elements, got 3"),
    (types.Point, [1.0, "a"], "$[1]", "expected float, got str"),
]


def binding_of(annotation: Any, converter: Any) -> Binding:
    def function(value: object) -> None:
        """Take one value; its annotation is set below."""

    function.__annotations__["value"] = annotation
    return analyze(function, converter=converter)


def same(left: object, right: object) -> bool:
    """Compare values and their types, so that 1, 1.0 and True differ."""
    return type(left) is type(right) and repr(left) == repr(right) and left == right


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize(("annotation", "body", "value"), ACCEPTED)
def test_a_fitting_value_is_converted(
    annotation: Any, body: Any, value: Any, converter: str
) -> None:
    (argument,), named = binding_of(annotation, converter).bind(body)
    assert named == {}
    assert same(argument, value) or (isinstance(value, (set, frozenset)) and argument == value)


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize(("annotation", "body", "path", "message"), REFUSED)
def test_another_value_is_refused_with_its_path(
    annotation: Any, body: Any, path: str, message: str, converter: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        binding_of(annotation, converter).bind(body)
    assert (caught.value.path, caught.value.message) == (path, message)
    assert str(caught.value) == f"{path}: {message}"
    assert caught.value.status == "invalid_argument"


@pytest.mark.parametrize("converter", CONVERTERS)
def test_a_nan_is_a_float(converter: str) -> None:
    (argument,), _ = binding_of(tuple[float, ...], converter).bind([math.nan])
    assert isinstance(argument, tuple)
    assert math.isnan(argument[0])


@pytest.mark.parametrize("converter", CONVERTERS)
def test_the_fields_of_an_instance_are_in_their_order(converter: str) -> None:
    """What is made of `vars(flower)`, a row of features for example, is always the same."""
    body = {"petal_width": 1.0, "petal_length": 2.0}
    (flower,), _ = binding_of(types.Flower, converter).bind(body)
    assert list(vars(flower)) == ["petal_length", "petal_width", "tags"]


@pytest.mark.parametrize("converter", CONVERTERS)
def test_a_deep_body_is_converted_or_refused_but_never_crashes(converter: str) -> None:
    binding = binding_of(types.Tree, converter)
    body: dict[str, Any] = {"name": "leaf", "children": [{}]}
    for _ in range(60):
        body = {"name": "branch", "children": [body]}
    with pytest.raises(InvalidArgument) as caught:
        binding.bind(body)
    assert caught.value.message == "field `name` of Tree is missing"
    assert caught.value.path.count(".children") == 12
    assert "…" in caught.value.path


@pytest.mark.parametrize("converter", CONVERTERS)
def test_long_keys_and_values_are_cut_in_messages(converter: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        binding_of(dict[str, types.Color], converter).bind({"k" * 10_000: "v" * 10_000})
    assert len(str(caught.value)) < 300
