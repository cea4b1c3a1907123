"""The event loop of a worker with async functions: how it comes into being, and how it ends."""

from __future__ import annotations

import asyncio
import sys

from ._handshake import Refusal
from ._protocol import Status

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Collection
    from typing import Any

CANCELLED_SECONDS = 0.5
"""How long tasks that were cancelled may take to clean up before they are left."""


def make_loop(name: str) -> AbstractEventLoop:
    """Return a new event loop of this kind. Raises `Refusal` where it cannot be had."""
    if name == "asyncio":
        return asyncio.new_event_loop()
    if name != "uvloop":
        message = f"the event loop is to be `{name}`, which nobody knows here"
        raise Refusal(Status.START_FAILED, message)
    try:
        import uvloop
    except ImportError as error:
        reason = (
            f"{sys.executable} does not have it"
            if isinstance(error, ModuleNotFoundError) and error.name == "uvloop"
            else f"it is there and cannot be loaded: {error}"
        )
        message = (
            f"the event loop `uvloop` is asked for, and {reason}; "
            f"install it: {sys.executable} -m pip install uvloop"
        )
        raise Refusal(Status.START_FAILED, message) from None
    loop: AbstractEventLoop = uvloop.new_event_loop()
    return loop


def cancel_all(loop: AbstractEventLoop, tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks of a loop that stands still, and let them clean up, for a moment at most."""
    for task in tasks:
        task.cancel()
    if tasks:
        _wait_for(loop, tasks)


def _wait_for(loop: AbstractEventLoop, tasks: Collection[asyncio.Task[Any]]) -> None:
    ended = loop.create_task(asyncio.wait(tasks, timeout=CANCELLED_SECONDS))
    while not ended.done():
        try:
            loop.run_until_complete(ended)
        except RuntimeError:
            pass  # Somebody had asked the loop to stop, and it was left before it did.


def close_loop(loop: AbstractEventLoop) -> None:
    """End a loop as `asyncio.run` does, but wait for no task that will not end."""
    cancel_all(loop, asyncio.all_tasks(loop))
    _wait_for(loop, [loop.create_task(loop.shutdown_asyncgens())])
    loop.close()
