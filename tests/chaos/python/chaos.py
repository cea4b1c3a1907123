"""The workers of the chaos run.

They write down every execution, and do to themselves what they are asked to do.
"""

import time

BEGAN = time.monotonic_ns()

import ctypes  # noqa: E402
import os  # noqa: E402
import stat  # noqa: E402
import struct  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from typing import TypedDict  # noqa: E402

from pyproc import ItemError, expose  # noqa: E402

# The length of a record is a power of two, so that none crosses a page of the file: a write that is
# cut short by a kill is cut between pages only.
RECORD = struct.Struct("=QQQII")
EXECUTED, LOADED, FATAL = range(3)
JOURNAL = os.open(os.environ["PYPROC_CHAOS_JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


class Reply(TypedDict):
    id: int
    mark: int
    pad: str


class Part(TypedDict):
    id: int
    mark: int
    fails: bool


class Item(TypedDict):
    id: int
    number: int
    mark: int


class Asked(Exception):
    """What a function raises when it is asked to."""


def write(kind: int, call: int, value: int = 0) -> None:
    os.write(JOURNAL, RECORD.pack(call, time.monotonic_ns(), value, os.getpid(), kind))


def turned(call: int, mark: int) -> int:
    """What the reply to this call carries, and no other reply does."""
    return (mark * 0x9E3779B97F4A7C15 + call) & 0xFFFF_FFFF_FFFF_FFFF


def reply(call: int, mark: int, pad: str = "") -> Reply:
    return {"id": call, "mark": turned(call, mark), "pad": pad}


@expose
def echo(id: int, mark: int, pad: str) -> Reply:
    write(EXECUTED, id)
    return reply(id, mark, pad)


@expose
def rest(id: int, mark: int, seconds: float) -> Reply:
    write(EXECUTED, id)
    time.sleep(seconds)
    return reply(id, mark)


@expose
def compute(id: int, mark: int, rounds: int) -> Reply:
    write(EXECUTED, id)
    total = 0
    for number in range(rounds):
        total ^= number * mark
    return reply(id, mark)


@expose
def fail(id: int, mark: int) -> Reply:
    write(EXECUTED, id)
    raise Asked(f"{id} {turned(id, mark)}")


@expose
def unsendable(id: int, mark: int) -> object:
    write(EXECUTED, id)
    return type(f"call_{id}_", (), {})()


@expose(batch=16, max_wait=0.001)
def together(parts: list[Part]) -> list[Reply | ItemError]:
    for part in parts:
        write(EXECUTED, part["id"])
    return [one_of_many(**part) for part in parts]


def one_of_many(id: int, mark: int, fails: bool) -> Reply | ItemError:
    return ItemError(Asked(f"{id} {turned(id, mark)}")) if fails else reply(id, mark)


@expose
def count(id: int, mark: int, items: int) -> Iterator[Item]:
    write(EXECUTED, id)
    for number in range(items):
        yield {"id": id, "number": number, "mark": turned(id + number, mark)}


@expose
def count_and_fail(id: int, mark: int, items: int) -> Iterator[Item]:
    yield from count(id, mark, items)
    raise Asked(f"{id} {turned(id, mark)}")


@expose
def add_up(id: int, mark: int, numbers: Iterator[int]) -> Reply:
    write(EXECUTED, id)
    return reply(id, mark, str(sum(numbers)))


@expose
def count_along(id: int, mark: int, numbers: Iterator[int]) -> Iterator[Item]:
    write(EXECUTED, id)
    for number in numbers:
        yield {"id": id, "number": number, "mark": turned(id + number, mark)}


# What follows ends its worker.


def last_act(call: int) -> None:
    write(EXECUTED, call)
    write(FATAL, call)


@expose(arguments="keywords")
def leave(id: int, code: int) -> None:
    last_act(id)
    os._exit(code)


@expose(arguments="keywords")
def crash(id: int) -> None:
    last_act(id)
    ctypes.string_at(0)


@expose(arguments="keywords")
def garble(id: int) -> None:
    """Writes what is no frame to the connection, whatever its descriptor is."""
    last_act(id)
    for name in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.write(int(name), b"\xff" * 40)
        except OSError:
            pass
    try:
        # Other threads would go on writing.
        if threading.current_thread() is threading.main_thread():
            time.sleep(60)
    finally:
        # In a worker with an event loop it may have fallen within a frame that is only half sent,
        # which must not be sent to its end.
        os._exit(4)


@expose(arguments="keywords")
def close_all(id: int) -> None:
    last_act(id)
    os.closerange(3, 1000)
    time.sleep(60)


@expose(arguments="keywords")
def orphan(id: int) -> None:
    """Dies, and leaves a child that holds all its descriptors."""
    last_act(id)
    if os.fork() == 0:
        time.sleep(600)
    os._exit(3)


# What follows only looks as if it did.


@expose(arguments="keywords")
def hold(id: int, mark: int, milliseconds: int) -> Reply:
    """Sleeps in C with the interpreter lock held."""
    write(EXECUTED, id)
    ctypes.PyDLL(None).usleep(milliseconds * 1000)
    return reply(id, mark)


@expose(arguments="keywords")
def flood(id: int, mark: int, kilobytes: int) -> Reply:
    write(EXECUTED, id)
    for _ in range(kilobytes):
        sys.stderr.write("x" * 1023 + "\n")
    sys.stdout.write("no newline at the end" * 1000)
    return reply(id, mark)


@expose(arguments="keywords")
def fork(id: int, mark: int, milliseconds: int) -> Reply:
    """Leaves a child that holds all descriptors for a while."""
    write(EXECUTED, id)
    reap()
    if os.fork() == 0:
        time.sleep(milliseconds / 1000)
        os._exit(0)
    return reply(id, mark)


@expose(arguments="keywords")
def fork_and_return(id: int, mark: int) -> Reply:
    """Returns twice: in the worker, and in a copy of it."""
    write(EXECUTED, id)
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return reply(id, mark)


@expose(arguments="keywords")
def spin(id: int, mark: int, milliseconds: int) -> Reply:
    """Leaves a thread that is busy for a while."""
    write(EXECUTED, id)
    end = time.monotonic() + milliseconds / 1000

    def turn() -> None:
        while time.monotonic() < end:
            pass

    threading.Thread(target=turn, daemon=True).start()
    return reply(id, mark)


def reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


write(LOADED, 0, time.monotonic_ns() - BEGAN)
