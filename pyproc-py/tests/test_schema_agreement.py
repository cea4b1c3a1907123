"""Both converters agree on every value and every type, not only on those of the table."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Literal, Optional, Union

import pytest
import schema_types as types
from test_schema_convert import binding_of

from pyproc._errors import InvalidArgument, InvalidResult
from pyproc._schema import analyze

pytest.importorskip("msgspec")
hypothesis = pytest.importorskip("hypothesis")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

WORDS = st.sampled_from(["a", "b", "red", "green", "petal_length", "name", "item", "number", "ü"])

SCALAR_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    WORDS,
    st.binary(max_size=2),
)

VALUES = st.recursive(
    SCALAR_VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
)

SCALARS = st.sampled_from(
    [
        bool,
        int,
        float,
        str,
        bytes,
        None,
        Any,
        types.Color,
        types.Level,
        types.Mixed,
        types.Bits,
        types.Forgiving,
        types.Meters,
        Literal["a", "b"],
        Literal[1, 2],
        types.Small,
    ]
)

RECORDS = st.sampled_from(
    [
        types.Flower,
        types.Garden,
        types.Slotted,
        types.SlottedTree,
        types.Tree,
        types.IntBox,
        types.Positive,
        types.Computed,
        types.OwnInit,
        types.Movie,
        types.Partial,
        types.Sequel,
        types.Point,
        types.Chain[int],
    ]
)


def of(generic: Any, arguments: Any) -> Any:
    """Subscript at run time, where arguments need not be types for a type checker."""
    return generic[arguments]


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        inner.map(partial(of, list)),
        inner.map(partial(of, set)),
        inner.map(partial(of, frozenset)),
        inner.map(lambda item: of(tuple, (item, ...))),
        inner.map(lambda item: of(dict, (str, item))),
        inner.map(lambda item: of(dict, (types.Color, item))),
        inner.map(partial(of, Optional)),
        inner.map(partial(of, types.Box)),
        inner.map(made),
        st.tuples(inner, inner).map(partial(of, Union)),
        st.tuples(inner, inner).map(partial(of, tuple)),
    )


def made(item: Any) -> type:
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [("b", Any)]
    fields.append(("a", of(Optional, item), None))
    return dataclasses.make_dataclass("Made", fields, slots=True)


ANNOTATIONS = st.recursive(SCALARS | RECORDS, containers, max_leaves=4)


def fitting(annotation: Any) -> st.SearchStrategy[Any]:
    """Return values that nearly fit: each place holds what it should, or anything."""
    arguments: Any = getattr(annotation, "__args__", ())
    origin = getattr(annotation, "__origin__", annotation)
    known: dict[Any, Any] = {
        bool: st.booleans(),
        int: st.integers(-3, 3),
        float: st.floats(allow_nan=False) | st.integers(-3, 3),
        str: WORDS,
        bytes: st.binary(max_size=2),
        None: st.none(),
        types.Slotted: st.fixed_dictionaries({"name": WORDS}, optional={"number": SCALAR_VALUES}),
        types.Flower: st.fixed_dictionaries({"petal_length": st.floats(0, 1)}),
        types.Tree: st.fixed_dictionaries(
            {"name": WORDS},
            optional={"children": st.lists(st.fixed_dictionaries({"name": WORDS}), max_size=2)},
        ),
        types.Movie: st.fixed_dictionaries({"name": WORDS}, optional={"year": SCALAR_VALUES}),
        types.Positive: st.fixed_dictionaries({"number": st.integers(-3, 3)}),
    }
    exact: st.SearchStrategy[Any]
    if origin in (list, set, frozenset) or arguments[1:] == (Ellipsis,):
        exact = st.lists(fitting(arguments[0]), max_size=3)
    elif origin is tuple:
        exact = st.tuples(*map(fitting, arguments)).map(list)
    elif origin is dict:
        exact = st.dictionaries(WORDS, fitting(arguments[1]), max_size=3)
    elif origin is Union:
        exact = st.one_of(*map(fitting, arguments))
    elif origin is types.Box:
        exact = st.fixed_dictionaries({"item": fitting(arguments[0])})
    else:
        exact = known.get(annotation, VALUES)
    return st.one_of(exact, exact, exact, VALUES)


def outcome(annotation: Any, body: Any, converter: str) -> object:
    binding = binding_of(annotation, converter)
    try:
        (argument,), _ = binding.bind(body)
    except InvalidArgument as error:
        return error.path, error.message
    return shown(argument)


def shown(value: Any) -> object:
    """Return what tells 1, 1.0 and True apart, and finds nan equal, and sets in any order."""
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(repr(shown(each)) for each in value)
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [shown(each) for each in value]
    if isinstance(value, dict):
        return [(repr(key), shown(each)) for key, each in value.items()]
    if dataclasses.is_dataclass(value):
        # Where there is a `__dict__`, its order counts: people make columns of it.
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return type(value).__name__, shown(getattr(value, "__dict__", fields))
    return repr(value)


@settings(max_examples=600, deadline=None)
@given(st.data())
def test_both_converters_agree(data: st.DataObject) -> None:
    annotation = data.draw(ANNOTATIONS)
    body = data.draw(fitting(annotation))
    assert outcome(annotation, body, "stdlib") == outcome(annotation, body, "msgspec")


@settings(max_examples=200, deadline=None)
@given(ANNOTATIONS, VALUES)
def test_what_is_accepted_can_be_sent_back(annotation: Any, body: Any) -> None:
    binding = binding_of(annotation, "auto")
    try:
        (argument,), _ = binding.bind(body)
    except InvalidArgument:
        return
    dumped = binding.dump(argument, binary=True)
    assert shown(binding.bind(dumped)[0][0]) == shown(argument)


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_a_decoded_value_is_a_plain_result(value: Any) -> None:
    dump = analyze(outcome).dump
    assert dump(value, binary=True) is value
    try:
        dumped = dump(value, binary=False)
    except InvalidResult as error:
        reason = error.message
    else:
        assert dumped is value
        return
    assert any(word in reason for word in ("nan", "inf", "bytes"))
