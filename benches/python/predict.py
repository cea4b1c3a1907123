"""The worker of the benchmark: functions so small that nearly all of a call is pyproc's."""

import time
from collections.abc import Iterator

from pyproc import expose


@expose
def predict(body: dict[str, int]) -> dict[str, int]:
    return {"result": body["value"] * 2}


@expose
def echo(body: bytes) -> bytes:
    return body


@expose
def items(items: int, size: int) -> Iterator[bytes]:
    rest = bytes(size - 8)
    for number in range(items):
        yield number.to_bytes(8, "little") + rest


@expose
def busy(body: dict[str, int]) -> dict[str, int]:
    """Compute for 100 µs of this process's own time, however often it is interrupted."""
    end = time.process_time_ns() + 100_000
    while time.process_time_ns() < end:
        pass
    return {"result": body["value"] * 2}


@expose
def doze() -> None:
    time.sleep(3600)


@expose
def spin() -> None:
    while True:
        pass
