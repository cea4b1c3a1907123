"""Functions that a caller uses wrongly, and functions that go wrong."""

import os
import sys
import threading
from dataclasses import dataclass

from pyproc import expose


@dataclass
class Flower:
    petal_length: float
    petal_width: float


@expose
def pid():
    return os.getpid()


@expose
def classify(flower: Flower) -> str:
    return "setosa" if flower.petal_length < 2.5 else "virginica"


@expose
def nearest(flower: Flower, k: int, metric: str = "euclid") -> list[str]:
    return [metric] * k


@expose
def divide(a: int, b: int):
    return quotient(a, b)


def quotient(a, b):
    return a / b


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even that")


@expose
def unprintable():
    raise Unprintable


@expose
def chained():
    try:
        quotient(1, 0)
    except ZeroDivisionError as error:
        raise LookupError("no quotient") from error


@expose
def talkative():
    raise ValueError("begin " + "x" * 100_000_000 + " end")


@expose
def bottomless(depth: int):
    return bottomless(depth + 1)


@expose
def interrupted():
    raise KeyboardInterrupt


@expose
def stopped():
    return next(iter([]))


class Odd(BaseException):
    pass


@expose
def odd():
    raise Odd("neither fish nor fowl")


@expose
def leave(code: int):
    print("leaving", file=sys.stderr)
    sys.exit(code)


@expose
def leave_at_once(code: int):
    os._exit(code)


@expose
def leave_when_told(pipe: str):
    """Return at once; exit when something is written to the pipe."""

    def wait():
        with open(pipe) as told:
            told.read()
        os._exit(5)

    threading.Thread(target=wait).start()
    return "not yet"


@expose
def debug():
    breakpoint()


@expose
def unsendable():
    return {"verdicts": [1, {"model": object()}]}


@expose
def endless():
    value = []
    value.append(value)
    return value
