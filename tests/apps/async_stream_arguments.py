"""Async functions that take streams, and a plain one beside them."""

from collections.abc import AsyncIterator, Iterator

from pyproc import expose


@expose
async def total(items: AsyncIterator[int]) -> int:
    return sum([item async for item in items])


@expose
async def doubled(items: AsyncIterator[int]) -> AsyncIterator[int]:
    async for item in items:
        yield 2 * item


@expose
async def tidy(log: str, items: AsyncIterator[int]) -> int:
    """Says how it came to its end."""
    try:
        return sum([item async for item in items])
    except BaseException as error:
        with open(log, "a") as file:
            file.write(f"{type(error).__name__}\n")
        raise


@expose
def plain_total(items: Iterator[int]) -> int:
    return sum(items)


@expose
def double(x: int) -> int:
    return 2 * x
