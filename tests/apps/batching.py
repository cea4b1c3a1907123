"""Functions that take many calls at once."""

from typing import Any

from marks import hold, wait_for, write
from pyproc import ItemError, expose, run_worker

expose(hold)

BATCHES: list[list[Any]] = []


@expose(batch=32)
def double(numbers: list[int]) -> list[int]:
    BATCHES.append(numbers)
    return [2 * number for number in numbers]


@expose(batch=8)
def halve(numbers: list[int]) -> list[float | ItemError]:
    """Knows no half of an odd number, and ends where there is a 13."""
    BATCHES.append(numbers)
    if 13 in numbers:
        raise ValueError("13 is nobody's friend")
    return [ItemError(f"{n} is odd") if n % 2 else n / 2 for n in numbers]


@expose(batch=32)
def lose(numbers: list[int]) -> list[int]:
    return numbers[1:]


@expose(batch=3, max_wait=600)
def company(numbers: list[int]) -> list[list[int]]:
    """Everybody learns who else was there."""
    return [numbers] * len(numbers)


@expose(batch=4)
def hold_together(paths: list[str]) -> list[int]:
    """Says who is there, and goes on when it may."""
    write(f"{paths[0]}.together", str(len(paths)))
    wait_for(f"{paths[0]}.go")
    return [len(paths)] * len(paths)


@expose
def triple(number: int) -> int:
    return 3 * number


@expose
def batches() -> list[list[Any]]:
    return BATCHES


if __name__ == "__main__":
    run_worker()
