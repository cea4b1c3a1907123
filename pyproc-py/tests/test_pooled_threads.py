"""Plain functions that run in threads of their worker."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from host import HAS_PAGE, Host
from test_async import until
from test_streams import items, stream

from pyproc._protocol import Kind, Status
from pyproc._state_page import TAKEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Spawn

SOURCE = """
import asyncio, contextvars, os, sys, threading, time
from pyproc import *

@expose
def echo(x):
    return x

@expose
def name(x):
    return threading.current_thread().name

@expose
def hold(path: str):
    open(path + ".began", "w").close()
    while not os.path.exists(path):
        time.sleep(0.001)
    return "held"

@expose
async def beside(x):
    await asyncio.sleep(0)
    return x
"""


@pytest.fixture
def serve(ready: Spawn) -> Callable[..., Host]:
    """Start a worker with four threads."""

    def start(source: str = "", **options: Any) -> Host:
        return ready(SOURCE + source, **{"threads": 4} | options)

    return start


def hold(host: Host, call: int, path: Path) -> None:
    """Have a thread that ends when the file is there, and wait until it has begun."""
    host.request(call, "hold", str(path))
    until(lambda: os.path.exists(f"{path}.began"))


def test_as_many_calls_run_at_once_as_there_are_threads(serve: Spawn) -> None:
    host = serve(
        """
everybody = threading.Barrier(4)

@expose
def meet(x):
    everybody.wait()
    return x
"""
    )
    for call in range(1, 9):
        host.request(call, "meet", call)
    assert sorted(host.expect(Kind.REPLY)[3] for _ in range(8)) == list(range(1, 9))
    names = {host.call("name", call=call) for call in range(9, 20)}
    assert names <= {f"pyproc-{number}" for number in range(4)}


def test_a_call_that_finds_no_thread_waits_and_may_be_cancelled_or_expire(
    serve: Spawn, tmp_path: Path
) -> None:
    host = serve(threads=2)
    for call in (1, 2):
        hold(host, call, tmp_path / str(call))
    brief = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 50_000_000
    host.request(3, "echo", 3)
    host.request(4, "echo", 4, deadline=brief)
    host.request(5, "echo", 5)
    # Async calls wait for no thread.
    assert host.call("beside", 6, call=6) == 6
    host.send(Kind.CANCEL, call=3)
    assert host.failed()[:2] == (3, Status.CANCELLED)
    if HAS_PAGE:
        assert host.words[TAKEN] == 6
    until(lambda: time.clock_gettime_ns(time.CLOCK_MONOTONIC) > brief)
    (tmp_path / "2").touch()
    answers = {frame[3]: frame for frame in (host.expect_any() for _ in range(3))}
    assert answers[4][0] == Kind.ERROR
    assert answers[4][2] == Status.DEADLINE
    assert (answers[2][0], answers[5][0]) == (Kind.REPLY, Kind.REPLY)
    (tmp_path / "1").touch()
    assert host.expect(Kind.REPLY)[3] == 1


@pytest.mark.skipif(not HAS_PAGE, reason="there is no page here")
def test_what_waits_for_a_thread_does_not_count_as_begun(serve: Spawn, tmp_path: Path) -> None:
    host = serve(threads=2)
    for call in (1, 2):
        hold(host, call, tmp_path / str(call))
    for call in (3, 4, 5):
        host.request(call, "echo")
    # Such a request is refused as it is read.
    host.request(6, "echo", flags=8)
    assert host.failed()[0] == 6
    assert host.words[TAKEN] == 2


def test_a_call_is_told_that_it_was_cancelled_and_goes_on(serve: Spawn, tmp_path: Path) -> None:
    host = serve(
        """
@expose
def polite(path: str, context: Context):
    told = threading.Event()
    context.on_cancel(told.set)
    open(path, "w").close()
    told.wait()
    return context.cancelled()
"""
    )
    path = tmp_path / "began"
    host.request(1, "polite", str(path))
    until(path.exists)
    host.send(Kind.CANCEL, call=1)
    assert json.loads(host.expect(Kind.REPLY)[6]) is True
    assert host.call("echo", 1, call=2) == 1


def test_what_a_call_does_about_its_end_holds_up_no_other_call(
    serve: Spawn, tmp_path: Path
) -> None:
    host = serve(
        """
@expose
def slow_to_end(path: str, context: Context):
    def wait():
        open(path + ".called", "w").close()
        while not os.path.exists(path):
            time.sleep(0.001)
    context.on_cancel(wait)
    open(path + ".began", "w").close()
    while not os.path.exists(path + ".called"):
        time.sleep(0.001)
"""
    )
    path = tmp_path / "go"
    host.request(1, "slow_to_end", str(path))
    until(lambda: os.path.exists(f"{path}.began"))
    host.send(Kind.CANCEL, call=1)
    until(lambda: os.path.exists(f"{path}.called"))
    assert host.call("echo", 2, call=2) == 2
    path.touch()
    assert host.expect(Kind.REPLY)[3] == 1


def test_each_call_has_its_own_context(serve: Spawn) -> None:
    host = serve(
        """
mine = contextvars.ContextVar("mine", default="nobody's")

@expose
def look(x, context: Context):
    before = mine.get()
    mine.set(x)
    time.sleep(0.001)
    return [before, mine.get(), current_context().call_id == context.call_id]
"""
    )
    for call in range(1, 101):
        host.request(call, "look", call)
    for _ in range(100):
        frame = host.expect(Kind.REPLY)
        assert json.loads(frame[6]) == ["nobody's", frame[3], True]


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("typed", b'"x"', Status.INVALID_ARGUMENT),
        ("typed", b"{", Status.INVALID_BODY),
        ("thing", b"1", Status.INVALID_RESULT),
        ("long", b"1", Status.TOO_LARGE),
        ("fail", b"1", Status.EXCEPTION),
    ],
)
def test_what_is_wrong_with_a_call(serve: Spawn, name: str, body: bytes, status: int) -> None:
    host = serve(
        """
@expose
def typed(x: int):
    return x

@expose
def thing(x):
    return object()

@expose
def long(x):
    return "x" * 5000

@expose
def fail(x):
    raise ValueError("no")
""",
        max_frame=4096,
    )
    host.request(1, name, body)
    call, found, failure = host.failed()
    assert (call, found) == (1, status)
    assert "pyproc/_" not in failure.get("traceback", "")
    assert host.call("echo", 1, call=2) == 1


def test_generators_go_on_in_the_main_thread(serve: Spawn) -> None:
    host = serve(
        """
@expose
def threads(n: int):
    for _ in range(n):
        yield threading.current_thread() is threading.main_thread()
"""
    )
    stream(host, 1, "threads", 3)
    assert items(host, 1, 3) == [True] * 3
    host.expect(Kind.STREAM_END)


def test_sys_exit_in_a_thread_ends_the_worker(serve: Spawn, tmp_path: Path) -> None:
    host = serve("@expose\ndef leave(x):\n    sys.exit(x)\n")
    hold(host, 1, tmp_path / "never")
    assert host.call("echo", 2, call=2) == 2
    host.request(3, "leave", 7)
    assert host.read() is None
    assert host.wait() == (7, "", "")


def test_a_child_that_a_thread_has_forked_answers_nothing(serve: Spawn) -> None:
    host = serve(
        """
import warnings
warnings.simplefilter("ignore")

@expose
def fork(x):
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return "parent" if pid else "child"
"""
    )
    assert host.call("fork") == "parent"
    assert host.call("echo", 1, call=2) == 1


def test_sigterm_lets_the_calls_in_threads_and_in_the_line_finish(
    serve: Spawn, tmp_path: Path
) -> None:
    host = serve("@on_stop\ndef stop():\n    print('stopped')\n", threads=2)
    for call in (1, 2):
        hold(host, call, tmp_path / "go")
    host.request(3, "echo", 3)
    host.process.send_signal(signal.SIGTERM)
    host.expect(Kind.DRAIN)
    host.request(4, "echo", 4)
    assert host.failed()[:2] == (4, Status.DRAINING)
    (tmp_path / "go").touch()
    assert sorted(host.expect(Kind.REPLY)[3] for _ in range(3)) == [1, 2, 3]
    host.expect(Kind.GOODBYE)
    assert host.wait() == (0, "stopped\n", "")


def test_a_thread_that_never_ends_keeps_no_worker_whose_host_has_gone(
    serve: Spawn, tmp_path: Path
) -> None:
    host = serve()
    hold(host, 1, tmp_path / "never")
    host.socket.close()
    assert host.wait() == (0, "", "")


def test_results_of_threads_that_nobody_reads_do_not_hold_up_the_others(serve: Spawn) -> None:
    host = serve("@expose\ndef large(x):\n    return 'x' * 100_000\n")
    # The worker stops reading as well, so there are no more than the socket holds.
    for call in range(1, 101):
        host.request(call, "large")
    assert sorted(host.expect(Kind.REPLY)[3] for _ in range(100)) == list(range(1, 101))


def test_an_idle_thread_keeps_nothing_of_its_last_call(serve: Spawn) -> None:
    host = serve(
        """
import gc
everybody = threading.Barrier(4)

@expose
def meet(x):
    everybody.wait()

@expose
async def kept(x):
    return sum(type(each).__name__ == "Job" for each in gc.get_objects())
"""
    )
    for call in range(1, 5):
        host.request(call, "meet")
    for _ in range(4):
        host.expect(Kind.REPLY)
    call_ids = itertools.count(5)
    until(lambda: bool(host.call("kept", call=next(call_ids)) == 0))
