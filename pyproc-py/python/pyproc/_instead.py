"""What to write instead of the types that cannot be sent."""

from __future__ import annotations

_INSTEAD_OF_PARAMETER = {
    "bytearray": "take `bytes`",
    "datetime.date": "take `str` and call `date.fromisoformat`",
    "datetime.datetime": "take `str` and call `datetime.fromisoformat`",
    "datetime.time": "take `str` and call `time.fromisoformat`",
    "datetime.timedelta": "take a number of seconds as `float`",
    "decimal.Decimal": "take `str` and call `Decimal`",
    "numpy.ndarray": "take `list[float]` and call `numpy.asarray`",
    "pandas.DataFrame": "take `dict[str, list[float]]` and call `pandas.DataFrame`",
    "pathlib.Path": "take `str` and call `Path`",
    "uuid.UUID": "take `str` and call `UUID`",
}

_INSTEAD_OF_RESULT = {
    "coroutine": "the function forgot to await it",
    "dict_items": "return a `dict` or a `list`",
    "dict_keys": "return a `list`",
    "dict_values": "return a `list`",
    "generator": "return a `list`",
    "map": "return a `list`",
    "range": "return a `list`",
    "zip": "return a `list`",
    "date": "return its `.isoformat()`",
    "datetime": "return its `.isoformat()`",
    "time": "return its `.isoformat()`",
    "timedelta": "return its `.total_seconds()`",
    "Decimal": "return a `str` or a `float` of it",
    "Fraction": "return a `str` or a `float` of it",
    "PosixPath": "return a `str` of it",
    "UUID": "return a `str` of it",
    "complex": "return its `.real` and `.imag`",
}


def no_parameter(cls: type) -> str:
    """Say that a parameter cannot have this type, and what to write instead."""
    name = _name(cls)
    instead = _INSTEAD_OF_PARAMETER.get(
        name, "take a dataclass, a TypedDict or plain values instead"
    )
    return f"no value can be converted to `{name}`; {instead}"


def no_result(cls: type) -> str:
    """Say that a result cannot hold a value of this type, and what to return instead."""
    instead = _INSTEAD_OF_RESULT.get(cls.__name__)
    if instead is None and hasattr(cls, "tolist"):
        instead = "return its `.tolist()` if it is small"
    name = _name(cls)
    article = "an" if name[0] in "aeioAEIO" else "a"
    return (
        f"{article} {name} cannot be sent; "
        f"{instead or 'return a dict, a dataclass or plain values'}"
    )


def _name(cls: type) -> str:
    # Python 3.13 says where `pathlib` keeps its classes, which is nobody's business.
    module = cls.__module__.removesuffix("._local")
    return cls.__name__ if module == "builtins" else f"{module}.{cls.__name__}"
