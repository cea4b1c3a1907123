"""Functions whose callers go, each with a way of its own to end, or not to."""

import os
import time
from collections.abc import Iterator

from marks import announce, hold, wait_for, write
from pyproc import Context, expose

expose(hold)


@expose
def pid() -> int:
    return os.getpid()


@expose
def echo(value: object) -> object:
    return value


@expose
def sleep(started: str) -> None:
    announce(started)
    time.sleep(1000)


@expose
def loop(started: str) -> None:
    announce(started)
    while True:
        pass


@expose
def swallow(started: str) -> None:
    """Ends for nobody."""
    announce(started)
    while True:
        try:
            while True:
                time.sleep(0.001)
        except BaseException:
            pass


@expose
def translate(started: str) -> None:
    """Makes an exception of its own of what it is ended with."""
    announce(started)
    try:
        time.sleep(1000)
    except BaseException as error:
        raise RuntimeError("something went wrong") from error


@expose
def stuck_in_next(started: str) -> Iterator[int]:
    yield 1
    announce(started)
    while True:
        pass


@expose
def yield_soon(end: str) -> Iterator[int]:
    """Yields every few milliseconds, and leaves a file behind that says what it was ended with."""
    number = 0
    try:
        while True:
            time.sleep(0.005)
            yield number
            number += 1
    except BaseException as error:
        write(end, type(error).__name__)
        raise


@expose
def never_yields(started: str) -> Iterator[int]:
    announce(started)
    while True:
        try:
            while True:
                time.sleep(0.001)
        except BaseException:
            pass
    yield 1


TALLY = [0, 0]


@expose
def work(number: int, microseconds: int) -> int:
    """Takes its time, and counts that it has begun and ended."""
    TALLY[0] += 1
    try:
        end = time.monotonic_ns() + 1000 * microseconds
        while time.monotonic_ns() < end:
            pass
        return number
    finally:
        TALLY[1] += 1


@expose
def large(number: int, pad: str) -> dict[str, object]:
    return {"number": number, "pad": pad}


@expose
def numbers(count: int) -> Iterator[int]:
    for number in range(count):
        time.sleep(0.0002)
        yield number


@expose
def tally() -> dict[str, object]:
    return {"pid": os.getpid(), "begun": TALLY[0], "ended": TALLY[1]}


@expose(batch=8)
def score(numbers: list[int]) -> list[int]:
    TALLY[0] += len(numbers)
    TALLY[1] += len(numbers)
    return numbers


@expose
def remaining(context: Context) -> float | None:
    return context.remaining()


@expose(batch=8)
def ponder(paths: list[str]) -> list[str]:
    """Says what it was given, and goes on until there is the file that is named last."""
    write(f"{paths[-1]}.begun", str(len(paths)))
    wait_for(paths[-1])
    return paths
