"""Functions that tell who ran them, and how."""

import os
import signal
import time
from collections.abc import Iterator

from marks import hold
from pyproc import Context, current_context, expose, run_worker

expose(hold)


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


@expose
def slot() -> int:
    place = current_context().slot
    assert place is not None
    return place


@expose
def slow_in_slot_0() -> int:
    """Takes a hundred times as long in one worker as in the others."""
    place = slot()
    time.sleep(0.1 if place == 0 else 0.001)
    return place


NOTES: list[str] = []


@expose
def note(text: str) -> None:
    NOTES.append(text)


@expose
def notes() -> list[str]:
    return NOTES


VERSION = 0


@expose
def reload(version: int) -> int:
    global VERSION
    VERSION = version
    return slot()


@expose
def version() -> int:
    return VERSION


@expose
def die_in_slot(victim: int) -> int:
    if slot() == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    return slot()


@expose
def append(path: str, text: str) -> None:
    with open(path, "a") as file:
        file.write(text + "\n")
    time.sleep(0.001)


@expose
def fail(text: str) -> None:
    raise ValueError(text)


@expose
def count() -> Iterator[int]:
    yield 1


@expose
def die_once(path: str) -> int:
    """Dies with its worker, unless somebody has before."""
    if not os.path.exists(path):
        with open(path, "w"):
            os.kill(os.getpid(), signal.SIGKILL)
    return slot()


@expose
def trace_or_die_once(path: str) -> str:
    die_once(path)
    return trace("a", "b")


@expose
def session_slot(session: str, question: int, context: Context) -> tuple[int, str]:
    """Says who has the session, and what came beside it."""
    return slot(), context.metadata["traceparent"]


if __name__ == "__main__":
    run_worker()
