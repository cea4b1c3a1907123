"""The workers of the chaos run, with async functions beside the others."""

import asyncio
import time
from collections.abc import AsyncIterator

from chaos import EXECUTED, Item, Reply, reply, turned, write
from pyproc import expose


@expose
async def nap(id: int, mark: int, seconds: float) -> Reply:
    write(EXECUTED, id)
    await asyncio.sleep(seconds)
    return reply(id, mark)


@expose
async def nap_in_tasks(id: int, mark: int, seconds: float) -> Reply:
    """Waits for others, which a cancel of it reaches too."""
    write(EXECUTED, id)
    await asyncio.gather(*(asyncio.sleep(seconds / part) for part in (1, 2, 3)))
    return reply(id, mark)


@expose
async def block(id: int, mark: int, seconds: float) -> Reply:
    """Holds up all others."""
    write(EXECUTED, id)
    time.sleep(seconds)
    return reply(id, mark)


@expose
async def count_along_async(id: int, mark: int, numbers: AsyncIterator[int]) -> AsyncIterator[Item]:
    write(EXECUTED, id)
    async for number in numbers:
        yield {"id": id, "number": number, "mark": turned(id + number, mark)}


@expose
async def count_async(id: int, mark: int, items: int) -> AsyncIterator[Item]:
    write(EXECUTED, id)
    for number in range(items):
        if number % 16 == 0:
            await asyncio.sleep(0)
        yield {"id": id, "number": number, "mark": turned(id + number, mark)}
