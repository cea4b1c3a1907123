"""The worker of the scenario `async`: functions that wait, and do nothing else."""

import asyncio

from pyproc import expose


@expose
async def nap(number: int) -> int:
    await asyncio.sleep(0.010)
    return number * 2


@expose
async def naps(count: int) -> int:
    """Take as many naps as tasks of one call: what an event loop needs for them by itself."""
    return sum(await asyncio.gather(*map(nap, range(count))))
