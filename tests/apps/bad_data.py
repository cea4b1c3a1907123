"""Functions for bodies that cannot be understood, and results that cannot be sent."""

import os

from pyproc import expose, register_codec, run_worker

register_codec("raw", encode=bytes, decode=bytes)


@expose
def pid():
    return os.getpid()


@expose
def echo(value):
    return value


@expose
def optional(a: int = 1, b: int = 2) -> int:
    return a + b


@expose
def text_of(value) -> str:
    return repr(value)


@expose
def length_of(data: bytes) -> int:
    return len(data)


@expose
def result_of(expression: str):
    """Return what Python makes of an expression: results that no test could send here."""
    return eval(expression)


@expose
def blob(size: int):
    return "x" * size


if __name__ == "__main__":
    run_worker()
