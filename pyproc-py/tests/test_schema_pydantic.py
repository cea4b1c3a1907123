"""Models of pydantic validate and dump themselves, where it is installed."""

# mypy: disallow-subclassing-any=False

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from test_schema_convert import binding_of

from pyproc._errors import InvalidArgument, InvalidResult
from pyproc._schema import analyze

pydantic = pytest.importorskip("pydantic")


class Model(pydantic.BaseModel):  # type: ignore[name-defined]
    model_config = pydantic.ConfigDict(extra="forbid")

    name: str
    sizes: tuple[int, ...] = ()
    inner: Model | None = None


class Numbers(pydantic.RootModel[list[int]]):  # type: ignore[name-defined]
    pass


class Raw(pydantic.BaseModel):  # type: ignore[name-defined]
    raw: bytes


@dataclass
class Outer:
    model: Model
    number: int = 0


Positive = Annotated[int, pydantic.Field(gt=0)]


@dataclass
class PlainAge:
    years: Positive


Age = pydantic.dataclasses.dataclass(PlainAge)


@pytest.mark.parametrize(
    ("annotation", "body", "value"),
    [
        (Model, {"name": "a", "sizes": [1]}, Model(name="a", sizes=(1,))),
        (list[Model | None], [None, {"name": "a"}], [None, Model(name="a")]),
        (Outer, {"model": {"name": "a"}, "more": 1}, Outer(Model(name="a"))),
        (Numbers, [1], Numbers([1])),
        (Age, {"years": 1}, Age(1)),
    ],
)
def test_a_fitting_value_is_converted(annotation: Any, body: Any, value: Any) -> None:
    assert binding_of(annotation, "auto").bind(body) == ((value,), {})


@pytest.mark.parametrize(
    ("annotation", "body", "path", "message"),
    [
        (Model, 3, "$", "expected Model, got int"),
        (Model, {"name": "a", "inner": {}}, "$.inner.name", "Field required"),
        (Model, {"name": "a", "odd key": 1}, "$['odd key']", "Extra inputs are not permitted"),
        (list[Model], [{"name": "a", "sizes": [1, "b"]}], "$[0].sizes[1]", "a valid integer"),
        (Outer, {"model": {"name": "a"}, "number": "b"}, "$.number", "expected int, got str"),
        (Age, {"years": 0}, "$", "greater than 0"),
    ],
)
def test_another_value_is_refused_with_its_path(
    annotation: Any, body: Any, path: str, message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        binding_of(annotation, "auto").bind(body)
    assert caught.value.path == path
    assert message in caught.value.message


def test_models_are_results() -> None:
    dump = analyze(lambda: None).dump
    model = {"name": "a", "sizes": [1], "inner": None}
    assert dump([Model(name="a", sizes=(1,))], binary=False) == [model]
    assert dump(Outer(Model(name="a", sizes=(1,))), binary=True) == {"model": model, "number": 0}
    assert dump(Age(1), binary=False) == {"years": 1}
    assert dump(Numbers([1]), binary=False) == [1]
    with pytest.raises(InvalidResult, match="utf"):
        dump(Raw(raw=b"\xff"), binary=False)
