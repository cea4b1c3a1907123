"""What results may hold, and where it is said that they hold something else."""

from __future__ import annotations

import collections
import datetime
import decimal
import math
import types as builtin_types
import uuid
from typing import Any

import pytest
import schema_types as types

from pyproc._dump import MAX_TYPES, Dumper
from pyproc._errors import InvalidResult
from pyproc._schema import analyze


def dump(result: object, *, binary: bool = False) -> object:
    return analyze(lambda: None).dump(result, binary=binary)


class Text(str):
    __slots__ = ()


class Number(int):
    pass


PLAIN: list[Any] = [
    None,
    True,
    2**64 - 1,
    -(2**63),
    1.5,
    "é",
    [],
    {},
    [1, 2],
    [1.5, 2.5],
    [1e308, 1e308],
    ["a", "é"],
    [1, "a", None],
    {"result": 84, "confidence": 0.99, "é": [[1.0], [2.0]]},
]

DUMPED: list[tuple[Any, Any]] = [
    ((1, 2), [1, 2]),
    ({3}, [3]),
    (frozenset({"a"}), ["a"]),
    ([(1, 2), {"a": (3,)}], [[1, 2], {"a": [3]}]),
    (types.Flower(1.5), {"petal_length": 1.5, "petal_width": 0.5, "tags": []}),
    (types.Computed(2.0), {"side": 2.0, "area": 4.0}),
    (
        types.Tree("a", [types.Tree("b")]),
        {"name": "a", "children": [{"name": "b", "children": []}]},
    ),
    (types.Point(1.0), [1.0, 0.0]),
    (types.Color.RED, "red"),
    ([types.Level.HIGH], [2]),
    (types.Mixed.NOTHING, None),
    ({types.Color.RED: 1, "b": 2}, {"red": 1, "b": 2}),
    ({Text("a"): Text("b")}, {"a": "b"}),
    (Number(3), 3),
    (collections.OrderedDict(a=1), {"a": 1}),
    (collections.Counter("aa"), {"a": 2}),
]

NO_NAN = "JSON has no nan; return `None`, or use MessagePack"
NO_INF = "JSON has no inf; return `None`, or use MessagePack"
NO_BYTES = "JSON has no bytes; return base64 text, or use MessagePack"
BE_PLAIN = "return a dict, a dataclass or plain values"

REFUSED: list[tuple[Any, str, str]] = [
    (math.nan, "$", NO_NAN),
    ([1.0, math.inf], "$[1]", NO_INF),
    ([math.inf, -math.inf], "$[0]", NO_INF),
    ({"a": [{"b": math.nan}]}, "$.a[0].b", NO_NAN),
    (
        types.Flower(math.nan),
        "$.petal_length",
        NO_NAN,
    ),
    (b"x", "$", NO_BYTES),
    ([bytearray(b"x")], "$[0]", NO_BYTES),
]

REFUSED_BY_ALL: list[tuple[Any, str, str]] = [
    (2**64, "$", "this int lies beyond 64 bits; return it as `str`"),
    ([1, -(2**63) - 1], "$[1]", "this int lies beyond 64 bits; return it as `str`"),
    ("\ud800", "$", "this str holds a lone surrogate, which is not text"),
    (["a", "\ud800"], "$[1]", "this str holds a lone surrogate, which is not text"),
    ({"\ud800": 1}, "$['\\ud800']", "this str holds a lone surrogate, which is not text"),
    ({1: "a"}, "$", "the key 1 (int) is not text; keys must be `str`"),
    ({"a": {None: 1}}, "$.a", "the key None (NoneType) is not text; keys must be `str`"),
    ({10**5000: 1}, "$", "the key of type int is not text; keys must be `str`"),
    ({(1, 2): 1}, "$", "the key of type tuple is not text; keys must be `str`"),
    ({types.Color.RED: 1, "red": 2}, "$", "two keys are the same text"),
    (
        types.Odd(),
        "$",
        f"a schema_types.Odd cannot be sent; {BE_PLAIN}",
    ),
    (
        {"a": [types.Odd]},
        "$.a[0]",
        f"a type cannot be sent; {BE_PLAIN}",
    ),
    ((letter for letter in "a"), "$", "a generator cannot be sent; return a `list`"),
    ({}.keys(), "$", "a dict_keys cannot be sent; return a `list`"),
    (1j, "$", "a complex cannot be sent; return its `.real` and `.imag`"),
    (uuid.UUID(int=0), "$", "a uuid.UUID cannot be sent; return a `str` of it"),
    (
        [datetime.date(2000, 1, 1)],
        "$[0]",
        "a datetime.date cannot be sent; return its `.isoformat()`",
    ),
    (
        decimal.Decimal(1),
        "$",
        "a decimal.Decimal cannot be sent; return a `str` or a `float` of it",
    ),
    (
        builtin_types.SimpleNamespace(a=1),
        "$",
        f"a types.SimpleNamespace cannot be sent; {BE_PLAIN}",
    ),
]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("result", PLAIN)
def test_a_plain_result_is_not_copied(result: Any, binary: bool) -> None:
    assert dump(result, binary=binary) is result


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("result", "dumped"), DUMPED)
def test_a_result_is_made_plain(result: Any, dumped: Any, binary: bool) -> None:
    made = dump(result, binary=binary)
    assert made == dumped
    assert type(made) is type(dumped)
    assert dump(made, binary=binary) is made


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(("result", "path", "message"), REFUSED_BY_ALL)
def test_what_nothing_can_carry_is_refused(
    result: Any, path: str, message: str, binary: bool
) -> None:
    with pytest.raises(InvalidResult) as caught:
        dump(result, binary=binary)
    assert (caught.value.path, caught.value.message) == (path, message)
    assert caught.value.status == "invalid_result"


@pytest.mark.parametrize(("result", "path", "message"), REFUSED)
def test_what_json_cannot_carry_is_refused(result: Any, path: str, message: str) -> None:
    with pytest.raises(InvalidResult) as caught:
        dump(result)
    assert (caught.value.path, caught.value.message) == (path, message)


def test_a_binary_codec_carries_bytes_and_every_float() -> None:
    assert dump([b"x", bytearray(b"y"), memoryview(b"z")], binary=True) == [b"x", b"y", b"z"]
    result = [math.nan, math.inf]
    assert dump(result, binary=True) is result


def test_only_what_changes_is_copied() -> None:
    plain = [1, 2]
    result = {"plain": plain, "tuple": (1,)}
    dumped: Any = dump(result)
    assert dumped == {"plain": [1, 2], "tuple": [1]}
    assert dumped["plain"] is plain
    assert result == {"plain": [1, 2], "tuple": (1,)}


def nested(depth: int) -> Any:
    result: Any = []
    for _ in range(depth - 1):
        result = [result]
    return result


def test_depth_is_bounded() -> None:
    assert dump(nested(127)) == nested(127)
    cyclic: list[Any] = []
    cyclic.append({"again": cyclic})
    tree = types.Tree("a")
    tree.children.append(tree)
    for result in (nested(128), nested(5000), cyclic, tree):
        with pytest.raises(InvalidResult) as caught:
            dump(result)
        assert caught.value.message == "nested deeper than 127 levels, or in itself"
        assert len(caught.value.path) < 300


def test_a_field_without_a_value_is_refused() -> None:
    flower = types.Flower(1.0)
    del flower.tags
    with pytest.raises(InvalidResult, match="tags"):
        dump(flower)


def test_numpy_scalars_are_numbers_and_arrays_are_refused() -> None:
    numpy = pytest.importorskip("numpy")
    result = {
        "a": numpy.float64(1.5),
        "b": [numpy.float32(0.5), numpy.int64(3), numpy.bool_(True)],
        "c": numpy.str_("x"),
    }
    dumped: Any = dump(result)
    assert dumped == {"a": 1.5, "b": [0.5, 3, True], "c": "x"}
    assert [type(each) for each in dumped["b"]] == [float, int, bool]
    assert type(dumped["a"]) is float
    assert type(dumped["c"]) is str
    assert dump(numpy.uint64(2**64 - 1)) == 2**64 - 1
    with pytest.raises(InvalidResult, match=r"\$\[0\]: JSON has no nan"):
        dump([numpy.float64("nan")])
    with pytest.raises(InvalidResult) as caught:
        dump({"a": numpy.zeros(3)})
    assert caught.value.path == "$.a"
    assert caught.value.message == (
        "a numpy.ndarray cannot be sent; return its `.tolist()` if it is small"
    )
    for scalar in (numpy.datetime64("2000-01-01"), numpy.complex128(1), numpy.longdouble(1)):
        with pytest.raises(InvalidResult, match="cannot be sent"):
            dump(scalar)


def test_types_that_are_made_for_each_call_are_not_kept() -> None:
    import gc
    import weakref

    dump = Dumper(binary=False).dump
    made = []
    for _ in range(2 * MAX_TYPES):
        kind = type("Text", (str,), {})
        made.append(weakref.ref(kind))
        assert dump(kind("x")) == "x"
    del kind
    gc.collect()
    assert sum(each() is not None for each in made) < MAX_TYPES
    assert dump(1) == 1
