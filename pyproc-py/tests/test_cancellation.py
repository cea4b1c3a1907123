"""A function hears that nobody waits for it any more, and can have something done about it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from host import HAS_PAGE, TIMEOUT_SECONDS, Host

from pyproc import Context
from pyproc._cancellation import Cancellations
from pyproc._interrupt import PureRunning
from pyproc._protocol import Flag, Kind, Status
from pyproc._state_page import BYTES, INTERRUPT
from pyproc.testing import call

if TYPE_CHECKING:
    from conftest import Spawn

needs_page = pytest.mark.skipif(not HAS_PAGE, reason="no memfd_create")

PRELUDE = """
from pyproc import *
import os, signal, sys, threading, time
from pathlib import Path
@expose
def echo(x): return x
"""


def within(seconds: float) -> dict[str, Any]:
    """Fields of a request whose deadline is so far away."""
    return {"deadline": time.clock_gettime_ns(time.CLOCK_MONOTONIC) + int(seconds * 1e9)}


def wait_for(path: Path) -> None:
    """Wait until there is such a file, by which a function says that it runs."""
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while not path.exists():
        assert time.monotonic() < give_up, path
        time.sleep(0.001)


def replied(host: Host) -> Any:
    """Read the result of a call."""
    return json.loads(host.expect(Kind.REPLY)[6])


@needs_page
def test_a_function_that_asks_hears_that_its_call_was_cancelled(
    ready: Spawn, tmp_path: Path
) -> None:
    running = tmp_path / "running"
    host = ready(
        PRELUDE
        + f"""
@expose(arguments="none")
def polite(context: Context):
    before = context.cancelled()
    Path({str(running)!r}).touch()
    while not context.cancelled(): time.sleep(0.001)
    return [before, current_context().cancelled()]
@expose
def other(context: Context):
    return context.cancelled()
"""
    )
    host.request(1, "polite", {})
    wait_for(running)
    # Nothing but the word: that is the time which `interrupt_after` leaves.
    host.words[INTERRUPT] = 1
    assert replied(host) == [False, True]
    assert host.call("other", {}, call=2) is False


def test_a_function_that_asks_hears_that_its_deadline_has_passed(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
@expose(arguments="none")
def polite(context: Context):
    before = context.cancelled()
    while not context.cancelled(): time.sleep(0.001)
    return [before, context.remaining() <= 0]
"""
    )
    host.request(1, "polite", {}, **within(1.0))
    assert replied(host) == [False, True]


RELEASE = """
@expose
def wait(context: Context, path: str):
    released, called = threading.Event(), []
    def callback():
        called.append(threading.current_thread() is threading.main_thread())
        released.set()
    context.on_cancel(callback)
    open(path, "w").close()
    try:
        # No interrupt reaches what is done here.
        waiter = threading.Thread(target=released.wait)
        waiter.start()
        waiter.join()
    except Interrupted:
        released.wait()
    return called
"""


@needs_page
@pytest.mark.parametrize("signals", [True, False])
def test_a_callback_is_called_once_by_another_thread_while_the_function_waits(
    ready: Spawn, tmp_path: Path, signals: bool
) -> None:
    host = ready(PRELUDE + RELEASE)
    path = tmp_path / "running"
    for number in (1, 2):
        host.request(number, "wait", str(path))
        wait_for(path)
        path.unlink()
        if signals:
            host.interrupt(number)
        else:
            host.words[INTERRUPT] = number
        assert replied(host) == [False]


def test_a_callback_is_called_when_the_deadline_passes(ready: Spawn, tmp_path: Path) -> None:
    host = ready(PRELUDE + RELEASE)
    host.request(1, "wait", str(tmp_path / "running"), **within(0.5))
    assert replied(host) == [False]


@needs_page
def test_a_callback_is_called_in_any_case_if_the_interrupt_ends_the_function_first(
    ready: Spawn, tmp_path: Path
) -> None:
    running, called = tmp_path / "running", tmp_path / "called"
    host = ready(
        PRELUDE
        + """
@expose
def sleep(context: Context, running: str, called: str):
    context.on_cancel(lambda: open(called, "a").write("x"))
    open(running, "w").close()
    time.sleep(3600)
"""
    )
    for number in range(1, 20):
        running.unlink(missing_ok=True)
        called.unlink(missing_ok=True)
        host.request(number, "sleep", {"running": str(running), "called": str(called)})
        wait_for(running)
        host.interrupt_until_answered(number)
        assert host.failed()[:2] == (number, Status.INTERRUPTED)
        # It was called before the answer was written.
        assert called.read_text() == "x"


@needs_page
def test_a_callback_is_never_called_when_its_call_has_ended(ready: Spawn, tmp_path: Path) -> None:
    called = tmp_path / "called"
    host = ready(
        PRELUDE
        + f"""
@expose
def quick(context: Context):
    context.on_cancel(lambda: open({str(called)!r}, "w").close())
@expose
def wait(context: Context):
    while not context.cancelled(): time.sleep(0.001)
    time.sleep(0.05)
"""
    )
    host.request(1, "quick", {})
    assert replied(host) is None
    host.words[INTERRUPT] = 1
    host.request(2, "wait", {}, **within(0.2))
    assert replied(host) is None
    assert not called.exists()


@needs_page
def test_what_a_callback_raises_is_told_and_the_others_are_called(
    ready: Spawn, tmp_path: Path
) -> None:
    running = tmp_path / "running"
    host = ready(
        PRELUDE
        + """
@expose
def wait(context: Context, path: str):
    released = threading.Event()
    context.on_cancel(lambda: 1 / 0)
    context.on_cancel(released.set)
    open(path, "w").close()
    released.wait()
    return "released"
"""
    )
    host.request(1, "wait", str(running))
    wait_for(running)
    host.words[INTERRUPT] = 1
    assert replied(host) == "released"
    host.send(Kind.DRAIN)
    assert host.expect(Kind.GOODBYE)
    assert "ZeroDivisionError" in host.wait()[2]


@needs_page
def test_a_generator_has_its_callback_until_it_ends(ready: Spawn, tmp_path: Path) -> None:
    running, called = tmp_path / "running", tmp_path / "called"
    host = ready(
        PRELUDE
        + """
@expose
def items(context: Context, running: str, called: str):
    context.on_cancel(lambda: open(called, "w").close())
    yield 1
    open(running, "w").close()
    while not os.path.exists(called): time.sleep(0.001)
    yield 2
"""
    )
    host.request(
        1,
        "items",
        {"running": str(running), "called": str(called)},
        flags=Flag.WANTS_STREAM,
    )
    host.send(Kind.CREDIT, (1000).to_bytes(4, "big"), call=1)
    assert json.loads(host.expect(Kind.STREAM_ITEM)[6]) == 1
    wait_for(running)
    host.words[INTERRUPT] = 1
    assert json.loads(host.expect(Kind.STREAM_ITEM)[6]) == 2
    host.expect(Kind.STREAM_END)
    assert host.call("echo", 3, call=2) == 3


@needs_page
def test_a_forked_child_looks_at_no_page(ready: Spawn, tmp_path: Path) -> None:
    path = tmp_path / "said"
    host = ready(
        PRELUDE
        + f"""
@expose
def fork(context: Context):
    context.on_cancel(print)
    child = os.fork()
    if child == 0:
        context.on_cancel(print)
        Path({str(path)!r}).write_text(str(context.cancelled()))
        os._exit(0)
    return os.waitpid(child, 0)[1]
"""
    )
    assert host.call("fork", {}) == 0
    assert path.read_text() == "False"


def test_a_test_of_the_users_own_can_say_what_a_context_says() -> None:
    called: list[int] = []
    assert not Context().cancelled()
    Context().on_cancel(lambda: called.append(1))
    assert Context(deadline=0.0).cancelled()
    cancelled = Context(cancelled=True)
    assert cancelled.cancelled()
    cancelled.on_cancel(lambda: called.append(2))
    assert called == [2]


def test_without_a_host_nothing_is_watched_when_the_call_has_ended() -> None:
    def registers(context: Context) -> bool:
        context.on_cancel(lambda: None)
        return context.cancelled()

    before = threading.active_count()
    assert call(registers) is False
    assert threading.active_count() == before


def test_calls_that_share_a_worker_are_told_one_by_one() -> None:
    cancellations = Cancellations()
    running = PureRunning()
    cancellations.report_to(running)
    words = memoryview(bytearray(BYTES)).cast("Q")
    cancellations.read_from(words)
    scheduled: list[Any] = []
    cancellations.share(1)
    cancellations.share(2, scheduled.append)
    called = threading.Event()
    cancellations.on_cancel(1, None, called.set)
    cancellations.on_cancel(2, None, called.set)
    assert running.is_watched
    cancellations.cancel(2)
    assert [cancellations.is_cancelled(number) for number in (1, 2)] == [False, True]
    assert scheduled == [called.set]
    assert not called.is_set()
    cancellations.cancel(1)
    assert called.wait(30)
    cancellations.cancel(3)
    for number in (1, 2, 3):
        cancellations.end(number)
    assert not running.is_watched
    assert not cancellations.is_cancelled(1)


def test_the_end_of_a_call_waits_for_a_callback_that_runs() -> None:
    cancellations = Cancellations()
    cancellations.share(1)
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def callback() -> None:
        began.set()
        assert go_on.wait(30)

    cancellations.on_cancel(1, None, callback)
    cancellations.cancel(1)
    assert began.wait(30)

    def end() -> None:
        cancellations.end(1)
        ended.set()

    threading.Thread(target=end).start()
    assert not ended.wait(0.05)
    go_on.set()
    assert ended.wait(30)
