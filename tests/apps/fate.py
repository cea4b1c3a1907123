"""Functions that leave a trace of each of their runs, and some that end their worker."""

import ctypes
import os
import resource
import signal
import socket
import time
from pathlib import Path

from pyproc import expose

GROUP = os.environ.get("FATE_GROUP")
if GROUP is not None:
    Path(GROUP, "cgroup.procs").write_text(str(os.getpid()))


@expose
def pid() -> int:
    return os.getpid()


@expose
def echo(value: object) -> object:
    return value


@expose
def length(text: str) -> int:
    return len(text)


@expose
def note(path: str, entry: str) -> str:
    """Appends a line to a file, in one piece."""
    with open(path, "a") as file:
        file.write(f"{entry}\n")
    return entry


@expose
def note_and_hang(path: str, entry: str) -> None:
    """Says when seven requests wait behind this one: not in the host, but here."""
    note(path, entry)
    is_told = False
    while True:
        time.sleep(0.001)
        if not is_told and requests_behind() == 7:
            note(path, "seven behind")
            is_told = True


@expose
def note_and_die(path: str, entry: str) -> None:
    note(path, entry)
    os.kill(os.getpid(), signal.SIGKILL)


@expose
def eat_memory() -> None:
    eaten = []
    while True:
        eaten.append(b"x" * (1 << 20))


@expose
def use_up_the_processor() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (1, resource.RLIM_INFINITY))
    while True:
        pass


@expose
def scribble(path: str, taken: int) -> None:
    """Overwrites what the host reads of the state page, and hangs.

    All of it with garbage where `taken` is negative, and else only the word that tells of the calls
    that have begun.
    """
    page = the_mapping("pyproc-state-page")
    if taken < 0:
        ctypes.memset(page, 0xA5, 4096)
    else:
        ctypes.c_uint64.from_address(page + 8).value = taken
    note_and_hang(path, "scribbled")


@expose
def spoil_the_stacks(path: str) -> None:
    """Leaves a terabyte where the host looks for stacks, and hangs."""
    for number in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if "pyproc-stacks" in target:
            os.write(int(number), b"Fatal Python error: \xff garbage\n" * 1000)
            os.ftruncate(int(number), 1 << 40)
    note_and_hang(path, "spoiled")


def requests_behind() -> int:
    """How many requests lie in the worker's connection, unread."""
    for number in os.listdir("/proc/self/fd"):
        try:
            is_connection = os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
        except OSError:
            continue
        if is_connection:
            return count(int(number))
    raise LookupError("the connection")


def count(connection: int) -> int:
    with socket.socket(fileno=os.dup(connection)) as peer:
        try:
            unread = peer.recv(1 << 16, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
    frames = 0
    while unread:
        length = 4 + int.from_bytes(unread[:4], "big")
        frames, unread = frames + 1, unread[length:]
    return frames


def the_mapping(name: str) -> int:
    for line in Path("/proc/self/maps").read_text().splitlines():
        if name in line:
            return int(line.split("-", 1)[0], 16)
    raise LookupError(name)
