"""Annotations that cannot be served are refused when the function is registered."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import schema_types as types

from pyproc._errors import PyprocError, SchemaError
from pyproc._schema import analyze


class Cornered(enum.Enum):
    PAIR = (1, 2)


UNSERVED: list[tuple[Any, str]] = [
    (types.Odd, "no value can be converted to `schema_types.Odd`; take a dataclass"),
    (list[types.Odd], "no value can be converted to `schema_types.Odd`"),
    (types.HasOdd, "field `odd` of HasOdd: no value can be converted to `schema_types.Odd`"),
    ("Absent", "the annotation `Absent` needs `Absent`, which is not there at run time"),
    ("np.ndarray", "the annotation `np.ndarray` needs `np`"),
    (list["Absent"], "needs `Absent`"),  # type: ignore[name-defined]  # noqa: F821
    (types.HasAbsent, "field `frame` of HasAbsent: the annotation `absent_package.Frame` needs"),
    ("datetime.nonsense", "the annotation `datetime.nonsense` cannot be evaluated: Attribute"),
    ("1 +", "the annotation `1 +` cannot be evaluated: SyntaxError"),
    (datetime.datetime, "take `str` and call `datetime.fromisoformat`"),
    (uuid.UUID, "take `str` and call `UUID`"),
    (decimal.Decimal, "take `str` and call `Decimal`"),
    (Path, "take `str` and call `Path`"),
    (bytearray, "take `bytes`"),
    (complex, "no value can be converted to `complex`"),
    (Callable[[], int], "no value can be converted to `collections.abc.Callable`"),
    (type[int], "no value can be converted to `type`"),
    (dict[int, str], "maps are sent with text as keys, not with int"),
    (dict[str | None, str], "maps are sent with text as keys, not with str | None"),
    (Literal[b"a"], "Literal[b'a'] holds b'a'"),
    (Cornered, "the value of Cornered.PAIR is tuple"),
    (3, "the annotation `3` has no meaning"),
]


@pytest.mark.parametrize("converter", ["auto", "stdlib"])
@pytest.mark.parametrize(("annotation", "reason"), UNSERVED)
def test_the_refusal_names_function_parameter_and_type(
    annotation: Any, reason: str, converter: Any
) -> None:
    def predict(good: int, value: object) -> None: ...

    predict.__annotations__["value"] = annotation
    with pytest.raises(SchemaError) as caught:
        analyze(predict, converter=converter)
    message = str(caught.value)
    assert message.startswith("function `predict`, parameter `value`: ")
    assert reason in message
    assert isinstance(caught.value, PyprocError)
    assert isinstance(caught.value, TypeError)


def test_an_array_is_refused_with_what_to_take_instead() -> None:
    numpy = pytest.importorskip("numpy")

    def predict(value: object) -> None: ...

    predict.__annotations__["value"] = numpy.ndarray
    with pytest.raises(SchemaError, match=r"`numpy\.ndarray`; take `list\[float\]`"):
        analyze(predict)


def test_the_annotation_of_the_result_needs_nothing() -> None:
    def predict(value: int) -> np.ndarray: ...  # type: ignore[name-defined]  # noqa: F821

    assert analyze(predict).returns == "np.ndarray"
