"""What tests/async_functions.rs calls."""

import asyncio
import contextvars
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

from marks import write
from pyproc import current_context, expose

mine: contextvars.ContextVar[int] = contextvars.ContextVar("mine", default=0)
there = 0
everybody = asyncio.Event()


@expose
async def double(x: int) -> int:
    return 2 * x


@expose
async def meet(count: int) -> int:
    """Return when so many calls are here."""
    global there
    there += 1
    if there == count:
        everybody.set()
    await everybody.wait()
    return there


@expose
async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@expose
def plain(x: int) -> int:
    return 2 * x


@expose
def own_loop(x: int) -> int:
    return asyncio.run(asyncio.sleep(0, 2 * x))


@expose
async def isolated(x: int) -> int:
    mine.set(x)
    await asyncio.sleep(0.001)

    async def child() -> tuple[int, int]:
        await asyncio.sleep(0)
        return mine.get(), current_context().call_id

    mine_there, call = await asyncio.create_task(child())
    assert call == current_context().call_id
    return mine_there


@expose
async def group(x: int) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("of the group")

    if sys.version_info < (3, 11):
        raise ValueError("of the group")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail())
        tasks.create_task(asyncio.sleep(3600))


@expose
async def hold(path: str) -> None:
    write(f"{path}.began")
    try:
        await asyncio.sleep(3600)
    finally:
        write(f"{path}.ended")


@expose
async def swallow(path: str) -> str:
    write(f"{path}.began")
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        write(f"{path}.swallowed")
    return "done all the same"


@expose
async def block(path: str) -> None:
    """Keep the event loop, and everybody else, waiting."""
    write(f"{path}.began")
    while True:
        time.sleep(0.001)


@expose
async def leave(code: int) -> None:
    async def in_task() -> None:
        await asyncio.sleep(0)
        sys.exit(code)

    await asyncio.create_task(in_task())


@expose
async def die(x: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(3600)


@expose
async def count(items: int) -> AsyncIterator[int]:
    for number in range(items):
        yield number


@expose
async def slowly(items: int) -> AsyncIterator[int]:
    for number in range(items):
        await asyncio.sleep(0)
        yield number


@expose
async def tidy(path: str) -> AsyncIterator[int]:
    number = 0
    try:
        while True:
            yield number
            number += 1
    finally:
        await asyncio.sleep(0)
        write(path, str(number))


@expose
async def fail_after(items: int) -> AsyncIterator[int]:
    for number in range(items):
        yield number
    raise ValueError("no more")


@expose
async def loop_module(x: int) -> str:
    return type(asyncio.get_running_loop()).__module__.partition(".")[0]
