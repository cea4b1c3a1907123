"""Functions that tell who ran them, and how."""

import os
import time

from pyproc import Context, current_context, expose


@expose
def pid() -> int:
    return os.getpid()


@expose
def echo_metadata(reply: dict[str, str], context: Context) -> dict[str, str]:
    """Returns what came beside the argument, and sends the argument beside that."""
    for key, value in reply.items():
        context.set_metadata(key, value)
    return dict(context.metadata)


@expose
def trace(first: str, second: str) -> str:
    current_context().set_metadata("order", first + second)
    return current_context().metadata.get("traceparent", "none")
