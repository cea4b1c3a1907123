"""Functions that take streams."""

from collections.abc import Iterator

from marks import announce, hold, wait_for
from pyproc import expose, run_worker

expose(hold)


@expose
def total(items: Iterator[int]) -> int:
    return sum(items)


@expose
def scaled(by: int, offset: int, items: Iterator[int]) -> list[int]:
    return [by * item + offset for item in items]


@expose
def lengths(items: Iterator[str]) -> int:
    return sum(map(len, items))


@expose
def first(count: int, items: Iterator[int]) -> list[int]:
    return [next(items) for _ in range(count)]


@expose
def never(items: Iterator[int]) -> str:
    return "done"


@expose
def slowly(path: str, items: Iterator[str]) -> int:
    """Takes one item, and the others when there is such a file."""
    count = len(next(items))
    wait_for(path)
    return count + sum(map(len, items))


@expose
def tidy(log: str, items: Iterator[int]) -> int:
    """Says how it came to its end."""
    try:
        return sum(items)
    except BaseException as error:
        with open(log, "a") as file:
            file.write(f"{type(error).__name__}\n")
        raise


@expose
def pid_and_total(log: str, items: Iterator[int]) -> int:
    announce(log)
    return sum(items)


@expose
def doubled(items: Iterator[int]) -> Iterator[int]:
    for item in items:
        yield 2 * item


@expose
def echo(items: Iterator[str]) -> Iterator[str]:
    yield from items


@expose
def double(x: int) -> int:
    return 2 * x


if __name__ == "__main__":
    run_worker()
