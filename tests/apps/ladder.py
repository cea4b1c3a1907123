"""Functions that do not end in time, each in its own way."""

import itertools
import os
import time
from pathlib import Path

import pyproc
from marks import announce
from pyproc import expose


@expose
def pid() -> int:
    return os.getpid()


@expose
def echo(value: object) -> object:
    return value


@expose
def loop_for_ever() -> None:
    while True:
        pass


@expose
def loop_and_announce(started: str) -> None:
    announce(started)
    while True:
        pass


@expose
def tidy_up(path: str) -> None:
    """Leaves a file behind that says what it was ended with."""
    try:
        while True:
            time.sleep(0.001)
    except BaseException as end:
        Path(path).write_text(type(end).__name__)
        raise


@expose
def make_do() -> str:
    """Is content with what it has when its time is over."""
    try:
        while True:
            time.sleep(0.001)
    except pyproc.Interrupted:
        # What follows is not interrupted again.
        time.sleep(0.05)
        return "half of it"


@expose
def carry_on() -> None:
    """Ends for nobody."""
    while True:
        try:
            while True:
                time.sleep(0.001)
        except BaseException:
            pass


class Finalizer:
    """What is raised here goes nowhere."""

    def __del__(self) -> None:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass


@expose
def loop_in_a_finalizer() -> None:
    """Is in a finalizer when it is interrupted first."""
    Finalizer()
    while True:
        pass


@expose
def hold_the_lock() -> int:
    """Never comes back from C, which neither gives the interpreter lock away nor asks for signals."""
    return sum(itertools.repeat(0))
