"""Functions that yield."""

import itertools
import os
from collections.abc import Iterator

from marks import wait_for
from pyproc import expose, run_worker


@expose
def count(n: int) -> Iterator[int]:
    yield from range(n)


@expose
def blobs(n: int, size: int) -> Iterator[str]:
    for _ in range(n):
        yield "x" * size


@expose
def double(x: int) -> int:
    return 2 * x


@expose
def fail_after(n: int) -> Iterator[int]:
    yield from range(n)
    raise ValueError("no more")


@expose
def tidy(log: str) -> Iterator[int]:
    """Yields for ever, and says when it is closed."""
    number = 0
    try:
        while True:
            yield number
            number += 1
    finally:
        with open(log, "a") as file:
            file.write(f"closed at {number}\n")


@expose
def pid_and_wait(path: str) -> Iterator[int]:
    """Yields the process's id, and goes on when there is such a file."""
    yield os.getpid()
    wait_for(path)
    yield 0


@expose
def stuck_after_one() -> Iterator[int]:
    yield 1
    while True:
        pass


@expose
def hold_the_lock() -> int:
    """Never comes back from C, which neither gives the interpreter lock away nor asks for signals."""
    return sum(itertools.repeat(0))


if __name__ == "__main__":
    run_worker()
