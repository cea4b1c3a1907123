"""What tests/threads.rs calls."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

from marks import hold, write
from pyproc import Context, expose

barrier = threading.Barrier(4)

expose(hold)


@expose
def double(x: int) -> int:
    return 2 * x


@expose
def meet(x: int) -> int:
    """Return when four calls are here."""
    barrier.wait()
    return x


@expose
def polite(path: str, context: Context) -> str:
    told = threading.Event()
    context.on_cancel(told.set)
    write(f"{path}.began")
    told.wait()
    if context.cancelled():
        write(f"{path}.told")
    return "told"


@expose
def die(x: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(3600)


@expose
def leave(code: int) -> None:
    sys.exit(code)


@expose
def fail(x: int) -> None:
    raise ValueError(f"no {x}")


@expose
def count(items: int) -> Iterator[int]:
    yield from range(items)


@expose
async def beside(x: int) -> int:
    return 2 * x
