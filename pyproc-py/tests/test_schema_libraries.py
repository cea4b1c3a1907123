"""What msgspec and pydantic add where they are installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import schema_types as types
from test_schema_convert import binding_of

from pyproc._errors import InvalidArgument, InvalidResult
from pyproc._schema import analyze


def refusal(annotation: Any, body: Any, converter: str = "auto") -> tuple[str, str]:
    with pytest.raises(InvalidArgument) as caught:
        binding_of(annotation, converter).bind(body)
    return caught.value.path, caught.value.message


class TestMsgspec:
    """Structs and constraints, also inside the types that need no msgspec."""

    msgspec: Any = pytest.importorskip("msgspec")

    class Iris(msgspec.Struct):
        petal: float
        name: str = ""

    class Pair(msgspec.Struct, array_like=True):
        left: int
        right: int

    class Circle(msgspec.Struct, tag="circle"):
        radius: float

    class Square(msgspec.Struct, tag="square"):
        side: float

    class Image(msgspec.Struct, rename="camel"):
        raw_bytes: bytes

    Count = Annotated[int, msgspec.Meta(ge=0)]

    @pytest.mark.parametrize("converter", ["stdlib", "msgspec"])
    def test_values(self, converter: Any) -> None:
        accepted = [
            (self.Iris, {"petal": 1, "more": 2}, self.Iris(1.0)),
            (list[self.Iris], [{"petal": 1}], [self.Iris(1.0)]),
            (self.Pair, [1, 2], self.Pair(1, 2)),
            (self.Pair | self.Iris, {"petal": 1}, self.Iris(1.0)),
            (self.Circle | self.Square, {"type": "square", "side": 1}, self.Square(1.0)),
            (types.Box[self.Iris], {"item": {"petal": 1}}, types.Box(self.Iris(1.0))),
            (self.Count, 3, 3),
            (dict[str, self.Count], {"a": 3}, {"a": 3}),
        ]
        for annotation, body, value in accepted:
            (argument,), _ = binding_of(annotation, converter).bind(body)
            assert argument == value

    @pytest.mark.parametrize("converter", ["stdlib", "msgspec"])
    def test_refusals(self, converter: Any) -> None:
        for annotation, body, path, message in [
            (self.Iris, 3, "$", "expected Iris, got int"),
            (self.Iris, {"petal": "a"}, "$.petal", "expected float, got str"),
            (list[self.Iris], [{"petal": "a"}], "$[0].petal", "expected float, got str"),
            (self.Iris, {}, "$", "Object missing required field petal"),
            (self.Count, -1, "$", "expected int >= 0"),
            (dict[str, self.Count], {"a": -1}, "$.a", "expected int >= 0"),
        ]:
            assert refusal(annotation, body, converter) == (path, message)
        path, message = refusal(self.Image, {"rawBytes": "aGk="}, converter)
        assert path == "$.rawBytes"
        assert message.startswith("expected bytes, got str (JSON has no bytes")

    def test_results(self) -> None:
        dump = analyze(refusal).dump
        assert dump([self.Iris(1.0)], binary=False) == [{"petal": 1.0, "name": ""}]
        assert dump(self.Pair(1, 2), binary=False) == [1, 2]
        assert dump(self.Image(b"x"), binary=True) == {"rawBytes": b"x"}
        with pytest.raises(InvalidResult):
            dump(self.Image(b"x"), binary=False)
        with pytest.raises(InvalidResult, match=r"\$\.petal"):
            dump(self.Iris(float("nan")), binary=False)
        with pytest.raises(InvalidResult, match=r"schema_types\.Odd"):
            dump(self.Iris(types.Odd()), binary=False)  # type: ignore[arg-type]

    def test_a_cyclic_struct_is_refused(self) -> None:
        iris = self.Iris(1.0)
        iris.name = [iris]  # type: ignore[assignment]
        with pytest.raises(InvalidResult, match="nested deeper than 127"):
            analyze(refusal).dump(iris, binary=False)


class TestPydantic:
    """Models validate and dump themselves."""

    pydantic: Any = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):
        name: str
        sizes: list[int] = []  # noqa: RUF012
        inner: Model | None = None

        model_config = {"extra": "forbid"}  # noqa: RUF012

    def test_values(self) -> None:
        model = self.Model(name="a", sizes=[1])
        (argument,), _ = binding_of(self.Model, "auto").bind({"name": "a", "sizes": [1]})
        assert argument == model
        (argument,), _ = binding_of(list[self.Model | None], "auto").bind([None, {"name": "a"}])
        assert argument == [None, self.Model(name="a")]

    def test_refusals(self) -> None:
        assert refusal(self.Model, 3) == ("$", "expected Model, got int")
        path, message = refusal(list[self.Model], [{"name": "a", "sizes": [1, "b"]}])
        assert path == "$[0].sizes[1]"
        assert "valid integer" in message
        path, message = refusal(self.Model, {"name": "a", "inner": {}})
        assert (path, message) == ("$.inner.name", "Field required")

    def test_results(self) -> None:
        dump = analyze(refusal).dump
        dumped = dump([self.Model(name="a")], binary=False)
        assert dumped == [{"name": "a", "sizes": [], "inner": None}]

    def test_its_dataclasses_are_checked_by_it(self) -> None:
        cls = self.pydantic.dataclasses.dataclass(
            type(
                "Age", (), {"__annotations__": {"years": Annotated[int, self.pydantic.Field(gt=0)]}}
            )
        )
        assert binding_of(cls, "auto").bind({"years": 1})[0][0].years == 1
        assert "greater than 0" in refusal(cls, {"years": 0})[1]


def test_a_dataclass_of_a_model_is_converted() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Inner", number=(int, ...))

    @dataclass
    class Outer:
        inner: object

    Outer.__annotations__["inner"] = model
    (argument,), _ = binding_of(Outer, "auto").bind({"inner": {"number": 1}})
    assert argument.inner.number == 1
    assert analyze(refusal).dump(argument, binary=False) == {"inner": {"number": 1}}
