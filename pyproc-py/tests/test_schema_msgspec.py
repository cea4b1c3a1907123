"""What msgspec adds where it is installed: structs and constraints."""

# mypy: disallow-subclassing-any=False

from __future__ import annotations

from typing import Annotated, Any

import pytest
import schema_types as types
from test_schema_convert import binding_of

from pyproc._errors import InvalidArgument, InvalidResult
from pyproc._schema import analyze

msgspec = pytest.importorskip("msgspec")


class Iris(msgspec.Struct):  # type: ignore[name-defined]
    petal: float
    name: str = ""


class Pair(msgspec.Struct, array_like=True):  # type: ignore[name-defined, call-arg]
    left: int
    right: int


class Circle(msgspec.Struct, tag="circle"):  # type: ignore[name-defined, call-arg]
    radius: float


class Square(msgspec.Struct, tag="square"):  # type: ignore[name-defined, call-arg]
    side: float


class Image(msgspec.Struct, rename="camel"):  # type: ignore[name-defined, call-arg]
    raw_bytes: bytes


Count: Any = Annotated[int, msgspec.Meta(ge=0)]
Name: Any = Annotated[str, msgspec.Meta(min_length=1)]


@pytest.mark.parametrize("converter", ["stdlib", "msgspec"])
@pytest.mark.parametrize(
    ("annotation", "body", "value"),
    [
        (Iris, {"petal": 1, "more": 2}, Iris(1.0)),
        (list[Iris], [{"petal": 1}], [Iris(1.0)]),
        (Pair, [1, 2], Pair(1, 2)),
        (Pair | Iris, {"petal": 1}, Iris(1.0)),
        (Circle | Square, {"type": "square", "side": 1}, Square(1.0)),
        (types.Box[Iris], {"item": {"petal": 1}}, types.Box(Iris(1.0))),
        (Count, 3, 3),
        (dict[str, Count], {"a": 3}, {"a": 3}),
        (dict[Name, int], {"a": 3}, {"a": 3}),
    ],
)
def test_a_fitting_value_is_converted(
    annotation: Any, body: Any, value: Any, converter: str
) -> None:
    assert binding_of(annotation, converter).bind(body) == ((value,), {})


@pytest.mark.parametrize("converter", ["stdlib", "msgspec"])
@pytest.mark.parametrize(
    ("annotation", "body", "path", "message"),
    [
        (Iris, 3, "$", "expected Iris, got int"),
        (Iris, {"petal": "a"}, "$.petal", "expected float, got str"),
        (list[Iris], [{"petal": "a"}], "$[0].petal", "expected float, got str"),
        (Iris, {}, "$", "object missing required field petal"),
        (Count, -1, "$", "expected int >= 0"),
        (dict[str, Count], {"a": -1}, "$.a", "expected int >= 0"),
        (
            Image,
            {"rawBytes": "aGk="},
            "$.rawBytes",
            "expected bytes, got str "
            "(JSON has no bytes: take base64 text and decode it, or use MessagePack)",
        ),
    ],
)
def test_another_value_is_refused_with_its_path(
    annotation: Any, body: Any, path: str, message: str, converter: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        binding_of(annotation, converter).bind(body)
    assert (caught.value.path, caught.value.message) == (path, message)


def dump(result: object, *, binary: bool = False) -> object:
    return analyze(lambda: None).dump(result, binary=binary)


def test_structs_are_results() -> None:
    assert dump([Iris(1.0)]) == [{"petal": 1.0, "name": ""}]
    assert dump(Pair(1, 2)) == [1, 2]
    assert dump(Image(b"x"), binary=True) == {"rawBytes": b"x"}


def test_structs_hold_what_cannot_be_sent() -> None:
    cyclic: Any = Iris(1.0)
    cyclic.name = [cyclic]
    for result, message in [
        (Image(b"x"), r"\$\.rawBytes: JSON has no bytes"),
        ([Iris(float("nan"))], r"\$\[0\]\.petal: JSON has no nan"),
        (Iris(types.Odd()), r"a schema_types\.Odd cannot be sent"),
        (cyclic, "nested deeper than 127 levels"),
    ]:
        with pytest.raises(InvalidResult, match=message):
            dump(result)
