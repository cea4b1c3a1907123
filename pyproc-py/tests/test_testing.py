"""`pyproc.testing.call`, and what a user's own tests see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

import pyproc
from pyproc import Context, expose, testing


@dataclass
class Flower:
    petal_length: float


def test_the_function_stays_what_it_was() -> None:
    def double(x: int) -> int:
        return 2 * x

    assert expose(double) is double
    assert expose(name="twice")(double) is double
    assert double(2) == 4


def test_call_goes_through_binding_and_codec() -> None:
    @expose
    def grow(flower: Flower) -> Flower:
        return Flower(flower.petal_length + 1)

    assert testing.call("grow", {"petal_length": 1}) == {"petal_length": 2.0}
    assert testing.call(grow, Flower(1.0)) == {"petal_length": 2.0}
    assert testing.call("health")["status"] == "healthy"  # type: ignore[index]


def test_call_gives_a_context() -> None:
    @expose
    def tell(x: int, context: Context) -> list[object]:
        assert pyproc.current_context().call_id == context.call_id
        return [x, context.remaining(), context.metadata]

    assert testing.call(tell, 1) == [1, None, {}]
    remaining = Context(deadline=0.0).remaining()
    assert remaining is not None
    assert remaining < 0
    with pytest.raises(LookupError):
        pyproc.current_context()


def test_an_async_function_runs_on_an_event_loop_of_its_own() -> None:
    @expose
    async def tell(x: int) -> list[int]:
        await asyncio.sleep(0)
        return [x, pyproc.current_context().call_id]

    assert testing.call(tell, 5) == [5, 1]


def test_what_a_generator_yields_comes_as_a_list() -> None:
    closed = []

    @expose
    def count(upto: int) -> Iterator[Flower]:
        try:
            for each in range(upto):
                assert pyproc.current_context().call_id == 1
                yield Flower(float(each))
        finally:
            closed.append("plain")

    @expose
    async def strange(upto: int) -> AsyncIterator[object]:
        try:
            for each in range(upto):
                await asyncio.sleep(0)
                yield each
            yield object()
        finally:
            closed.append("async")

    assert testing.call("count", 2) == [{"petal_length": 0.0}, {"petal_length": 1.0}]
    assert testing.call("count", 0) == []
    assert closed == ["plain", "plain"]
    with pytest.raises(pyproc.InvalidResult, match=r"^\$: "):
        testing.call("strange", 2)
    assert closed[2:] == ["async"]


def test_async_functions_take_streams() -> None:
    @expose
    async def total(by: int, items: AsyncIterator[int]) -> int:
        return by * sum([item async for item in items])

    @expose
    async def scaled(by: int, items: AsyncIterator[int]) -> AsyncIterator[int]:
        async for item in items:
            yield by * item

    assert testing.call("total", 2, items=[1, 2]) == 6
    assert testing.call("scaled", 2, items=iter([1, 2])) == [2, 4]
    with pytest.raises(pyproc.InvalidArgument, match=r"\$\.items"):
        testing.call("scaled", 2, items=["one"])


def test_a_function_need_not_be_exposed() -> None:
    assert testing.call(lambda a, b: a + b, {"a": 1, "b": 2}) == 3


def test_typed_errors_are_raised() -> None:
    @expose
    def add(a: int, b: int) -> int:
        return a + b

    @expose
    def broken(x: object) -> object:
        return {"deep": [object()]} if x is None else float("nan")

    @expose
    def fail(x: object) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(pyproc.InvalidArgument, match=r"^\$\.a: expected int, got str$"):
        testing.call("add", {"a": "x", "b": 1})
    with pytest.raises(pyproc.InvalidArgument, match=r"^\$: argument `b` is missing$"):
        testing.call("add", {"a": 1})
    with pytest.raises(pyproc.InvalidArgument, match="an object cannot be sent"):
        testing.call("add", object())
    with pytest.raises(pyproc.InvalidResult, match=r"^\$\.deep\[0\]: "):
        testing.call("broken")
    with pytest.raises(pyproc.InvalidResult, match="JSON has no nan"):
        testing.call("broken", 1)
    with pytest.raises(pyproc.FunctionNotFound, match="did you mean `add`"):
        testing.call("ad")
    with pytest.raises(ZeroDivisionError, match="mine"):
        testing.call("fail")
    with pytest.raises(pyproc.PyprocError, match="no codec `arrow`"):
        testing.call("add", {"a": 1, "b": 2}, codec="arrow")


def test_messagepack_carries_what_json_does_not() -> None:
    pytest.importorskip("msgspec")
    assert testing.call(lambda x: [x, float("inf")], b"\xff", codec="msgpack") == [
        b"\xff",
        float("inf"),
    ]
