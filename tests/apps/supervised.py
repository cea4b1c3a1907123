"""Functions for workers that come and go."""

import os
import time

from pyproc import expose

_leaked: list[bytes] = []


@expose
def echo(value: object) -> object:
    return value


@expose
def pid() -> int:
    return os.getpid()


@expose
def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@expose
def wait_for(path: str) -> None:
    """Runs until there is such a file."""
    while not os.path.exists(path):
        time.sleep(0.001)


@expose
def leak(mebibytes: int) -> int:
    """Keeps so much memory for good, and says which process did."""
    _leaked.append(b"\1" * (mebibytes << 20))
    return os.getpid()


@expose
def kill_self() -> None:
    os.kill(os.getpid(), 9)


@expose
def fail_in(process: int) -> int:
    """Raises in one process, and says in the others which it is."""
    if os.getpid() == process:
        raise RuntimeError("this one is ill")
    return os.getpid()
