"""A function hears that nobody waits for it any more, and can have something done about it."""

from __future__ import annotations

import json
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from host import HAS_PAGE, TIMEOUT_SECONDS, Host

from pyproc import Context
from pyproc._cancellation import CANCELLATIONS, Cancellations, Shared
from pyproc._connection import Connection
from pyproc._interrupt import PureRunning
from pyproc._protocol import Flag, Kind, Status
from pyproc._request import Request
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
    for number, cancelled in ((2, Context(cancelled=True)), (3, Context(deadline=0.0))):
        assert cancelled.cancelled()
        cancelled.on_cancel(partial(called.append, number))
    assert called == [2, 3]
    # Nothing watches over one that may yet go late.
    Context(deadline=time.monotonic() + 3600).on_cancel(lambda: called.append(4))
    assert not CANCELLATIONS._watched


def test_without_a_host_nothing_is_watched_when_the_call_has_ended() -> None:
    def registers(context: Context) -> bool:
        context.on_cancel(lambda: None)
        return context.cancelled()

    before = threading.active_count()
    assert call(registers) is False
    assert threading.active_count() == before


def request(call: int, deadline_ns: int | None = None) -> Request:
    """Return a call that may be watched."""
    return Request(Connection(), call, "function", b"", deadline_ns)


def test_calls_that_share_a_worker_are_told_one_by_one() -> None:
    cancellations = Cancellations()
    running = PureRunning()
    cancellations.report_to(running)
    words = memoryview(bytearray(BYTES)).cast("Q")
    cancellations.read_from(words)
    scheduled: list[Any] = []
    cancellations.share(1, Shared())
    cancellations.share(2, Shared(scheduled.append))
    called, told = threading.Event(), threading.Event()
    cancellations.on_cancel(request(1), called.set)
    cancellations.on_cancel(request(2), told.set)
    assert running.is_watched
    cancellations.cancel(2)
    assert [cancellations.is_cancelled(number) for number in (1, 2)] == [False, True]
    assert not told.is_set()
    (call_back,) = scheduled
    call_back()
    assert told.is_set()
    assert not called.is_set()
    cancellations.cancel(1)
    assert called.wait(30)
    cancellations.cancel(3)
    for number in (1, 2, 3):
        cancellations.end(number)
    assert not running.is_watched
    assert not cancellations.is_cancelled(1)


def test_what_is_scheduled_and_comes_late_calls_nothing() -> None:
    cancellations = Cancellations()
    scheduled: list[Any] = []
    cancellations.share(1, Shared(scheduled.append))
    called: list[int] = []
    for number in (1, 2):
        cancellations.on_cancel(request(1), partial(called.append, number))
    cancellations.cancel(1)
    assert called == []
    # Whoever ends it is the event loop itself, and need not wait for its next turn.
    cancellations.end(1)
    assert called == [1, 2]
    for call_back in scheduled:
        call_back()
    assert called == [1, 2]


def test_nothing_is_kept_of_a_call_that_has_ended() -> None:
    cancellations = Cancellations()
    running = PureRunning()
    cancellations.report_to(running)
    cancellations.read_from(memoryview(bytearray(BYTES)).cast("Q"))
    called: list[int] = []
    ended = request(1, deadline_ns=1)
    ended.has_ended = True
    cancellations.on_cancel(ended, lambda: called.append(1))
    assert not running.is_watched
    other = request(2, deadline_ns=1)
    told = threading.Event()
    cancellations.on_cancel(other, told.set)
    cancellations.on_cancel(ended, lambda: called.append(1))
    assert running.is_watched
    assert told.wait(30)
    cancellations.end(2)
    assert called == []
    assert not running.is_watched


def test_the_end_of_a_call_waits_for_a_callback_that_runs() -> None:
    cancellations = Cancellations()
    cancellations.share(1, Shared())
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def callback() -> None:
        began.set()
        assert go_on.wait(30)

    cancellations.on_cancel(request(1), callback)
    cancellations.cancel(1)
    assert began.wait(30)

    def end() -> None:
        cancellations.end(1)
        ended.set()

    threading.Thread(target=end).start()
    assert not ended.wait(0.05)
    go_on.set()
    assert ended.wait(30)


KEEPERS = {
    "plain": "def keep(context: Context):\n    kept.append(context)\n",
    "thread": "def keep(context: Context):\n    kept.append(context)\n",
    "async": "async def keep(context: Context):\n    kept.append(context)\n",
    "generator": "def keep(context: Context):\n    kept.append(context)\n    yield 1\n",
    "async generator": "async def keep(context: Context):\n    kept.append(context)\n    yield 1\n",
}


@pytest.mark.parametrize("kind", KEEPERS)
def test_a_callback_that_comes_after_the_end_is_never_called(ready: Spawn, kind: str) -> None:
    host = ready(
        PRELUDE
        + f"""
kept = []

@expose
{KEEPERS[kind]}

@expose
def late(context: Context):
    called, told = [], threading.Event()
    kept[0].on_cancel(lambda: called.append("late"))
    # Its deadline is behind that of the other, so it is called after it.
    context.on_cancel(told.set)
    told.wait()
    return [called, kept[0].remaining() < 0]
""",
        threads=2 if kind == "thread" else 1,
    )
    is_stream = kind.endswith("generator")
    host.request(1, "keep", {}, flags=Flag.WANTS_STREAM if is_stream else 0, **within(1.0))
    if is_stream:
        host.send(Kind.CREDIT, (1000).to_bytes(4, "big"), call=1)
        host.expect(Kind.STREAM_ITEM)
        host.expect(Kind.STREAM_END)
    else:
        assert replied(host) is None
    host.request(2, "late", {}, **within(1.1))
    assert replied(host) == [[], True]


@pytest.mark.parametrize("threads", [1, 2])
def test_callbacks_that_come_as_a_call_ends_leave_nothing_behind(
    ready: Spawn, threads: int
) -> None:
    host = ready(
        PRELUDE
        + """
from pyproc._cancellation import CANCELLATIONS

threads = []

@expose
def quick(context: Context):
    began, mine = threading.Event(), len(threads) + 1
    def register():
        began.set()
        # Until the next call begins.
        while len(threads) == mine: context.on_cancel(print)
    threads.append(threading.Thread(target=register))
    threads[-1].start()
    began.wait()
@expose
def left(context: Context):
    threads.append(None)
    for each in threads[:-1]: each.join()
    return list(CANCELLATIONS._watched)
""",
        threads=threads,
    )
    for number in range(1, 20):
        host.request(number, "quick", {}, **within(3600))
        assert replied(host) is None
    assert host.call("left", {}, call=20) == []


@needs_page
def test_a_generator_that_is_dropped_between_two_items_is_told(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
told = []

@expose
def items(context: Context):
    told.clear()
    context.on_cancel(lambda: told.append("called"))
    try:
        yield context.cancelled()
        yield 2
    finally:
        told.append(context.cancelled())

@expose
def what_it_was_told():
    return sorted(map(str, told))
"""
    )
    for number in (1, 3):
        host.request(number, "items", {}, flags=Flag.WANTS_STREAM)
        host.send(Kind.CREDIT, (1).to_bytes(4, "big"), call=number)
        assert json.loads(host.expect(Kind.STREAM_ITEM)[6]) is False
        host.send(Kind.CANCEL, call=number)
        assert host.failed()[:2] == (number, Status.CANCELLED)
        # The callback comes before the generator cleans up, or behind it.
        assert host.call("what_it_was_told", {}, call=number + 1) == ["True", "called"]
