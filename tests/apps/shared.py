"""Functions that share their worker with others, each with a way of its own to end, or not to."""

import asyncio
import os
import time

from marks import announce, write
from pyproc import expose


@expose
async def pid() -> int:
    return os.getpid()


@expose
async def rest(started: str) -> None:
    announce(started)
    await asyncio.sleep(1000)


@expose
async def tidy(started: str, end: str) -> None:
    """Leaves a file behind that says what it was ended with."""
    announce(started)
    try:
        await asyncio.sleep(1000)
    except BaseException as error:
        write(end, type(error).__name__)
        raise


@expose
async def refuse(started: str) -> None:
    """Ends for nobody, and lets others run."""
    announce(started)
    while True:
        try:
            await asyncio.sleep(0.001)
        except BaseException:
            pass


@expose
async def hold(started: str, gate: str) -> str:
    """Goes on until there is such a file, and returns."""
    announce(started)
    while not os.path.exists(gate):
        await asyncio.sleep(0.001)
    return "held"


@expose
async def block(started: str) -> None:
    announce(started)
    while True:
        pass


@expose
async def block_and_refuse(started: str) -> None:
    announce(started)
    while True:
        try:
            while True:
                time.sleep(0.001)
        except BaseException:
            pass
