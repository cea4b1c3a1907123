"""Functions that do to their worker what must not hurt anybody else."""

import atexit
import ctypes
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

from marks import announce, wait_for
from pyproc import Context, expose


@expose
def pid() -> int:
    return os.getpid()


@expose
def echo(value: object) -> object:
    return value


@expose
def hang(started: str) -> None:
    """Runs for ever; writes its process id to a file when it has begun."""
    announce(started)
    while True:
        time.sleep(0.01)


@expose
def hang_once(started: str) -> str:
    """Runs for ever the first time, and answers at once when the file is already there."""
    if Path(started).exists():
        return "survived"
    hang(started)
    return "never"


@expose
def nap(seconds: float) -> None:
    time.sleep(seconds)


@expose
def busy_loop(started: str) -> None:
    announce(started)
    while True:
        pass


@expose
def hold_lock(started: str) -> None:
    """Runs in C for ever and holds the interpreter lock."""
    announce(started)
    ctypes.PyDLL(None).sleep(1000)


@expose
def lead_children(started: str) -> None:
    """Waits for ever, with children that have one each."""
    have_children(2)
    hang(started)


@expose
def write_at_exit(path: str, seconds: float) -> None:
    """When the worker exits, takes that long and then writes a file."""

    def write() -> None:
        time.sleep(seconds)
        Path(path).write_text("done")

    atexit.register(write)


@expose
def exit_with(code: int) -> None:
    sys.exit(code)


@expose
def exit_at_once(code: int) -> None:
    print("these are my last words", file=sys.stderr, flush=True)
    os._exit(code)


@expose
def segfault() -> None:
    ctypes.string_at(0)


@expose
def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@expose
def die_within_a_reply() -> None:
    """Begins a reply of a hundred bytes, which would be a number already, and dies."""
    write_to_connection("00000070" "84000000" "0000000000000001" "31")
    kill_self()


@expose
def close_descriptors() -> None:
    os.closerange(3, 1000)
    time.sleep(60)


@expose
def write_everywhere() -> None:
    """Writes garbage to every descriptor that is open."""
    for descriptor in range(3, 256):
        try:
            os.write(descriptor, b"\x00garbage" * 8)
        except OSError:
            pass
    time.sleep(60)


@expose
def leave_a_sleeper(started: str) -> None:
    """Dies, while a child of its own that holds all its descriptors lives on."""
    child = subprocess.Popen(["sleep", "1000"], close_fds=False)
    Path(started).write_text(str(child.pid))
    os._exit(3)


@expose
def have_children(count: int) -> list[int]:
    """Starts processes that sleep in the worker's group, each with a child of its own."""
    command = ["sh", "-c", "sleep 1000 & wait"]
    return [subprocess.Popen(command).pid for _ in range(count)]


@expose
def have_a_daemon() -> int:
    """Starts a process that leaves the worker's group."""
    return subprocess.Popen(["sleep", "1000"], start_new_session=True).pid


def busy() -> None:
    while True:
        pass


@expose
def leave_a_busy_thread() -> None:
    threading.Thread(target=busy, name="busy").start()


@expose
def fork_beside_a_thread() -> int:
    """Returns twice, in the worker and in a copy of it, while another thread runs."""
    over = threading.Event()
    threading.Thread(target=over.wait).start()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        over.set()
    return os.getpid()


@expose
def fork_and_return() -> int:
    """Returns twice: in the worker, and in a copy of it."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return os.getpid()


@expose
def print_a_lot() -> int:
    for _ in range(2000):
        print("x" * 100)
    sys.stdout.write("no newline at the end" * 10_000)
    return 2000


@expose
def print_by_all_means() -> None:
    """Prints as Python does, as a C library does, and as a child process does."""
    print("python")
    os.write(1, b"descriptor")
    libc = ctypes.CDLL(None)
    libc.printf(b"printf")
    libc.fflush(None)
    subprocess.run(["echo", "child"], check=True)


@expose
def flood_stderr(text: str, size: int) -> int:
    """Repeats the text on standard error, up to a size in bytes."""
    chunk = (text * (65536 // len(text))).encode()
    written = 0
    while written < size:
        written += os.write(2, chunk)
    return written


@expose
def write_to_connection(digits: str) -> None:
    """Writes bytes, given in hexadecimal digits, to the socket that leads to the host."""
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        try:
            is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        except OSError:
            continue  # It was open only to read this list.
        if is_socket:
            os.write(descriptor, bytes.fromhex(digits))


@expose
def set_wall_clock(seconds: float) -> float:
    """From now on all that this process reads of the wall clock is so far in the future."""
    time_of_day = time.time
    time.time = lambda: time_of_day() + seconds
    time.time_ns = lambda: int(time.time() * 1e9)
    return time.time()


@expose
def remaining(context: Context) -> float | None:
    """How many seconds are left until the deadline of this call."""
    return context.remaining()


@expose
def write_down(log: str, entry: str, until: str | None = None) -> None:
    """Appends a line to a file, and returns when there is another one."""
    with open(log, "a") as file:
        file.write(entry + "\n")
    if until is not None:
        wait_for(until)


@expose
def by_number(pairs: dict[str, int]) -> int:
    """Reads the keys as numbers, without a moment at which Python looks for signals."""
    return len(dict.fromkeys(map(int, pairs)))


@expose
def be_interrupted(interval: float) -> None:
    """From now on a signal interrupts what this process does, and whatever it waits for."""
    signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.siginterrupt(signal.SIGALRM, True)
    signal.setitimer(signal.ITIMER_REAL, interval, interval)
