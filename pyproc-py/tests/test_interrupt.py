"""The host ends the function of a call that runs, and nothing else."""

from __future__ import annotations

import json
import logging
import random
import signal
import sys
import threading
import time
from contextvars import copy_context
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from host import HAS_PAGE, TIMEOUT_SECONDS, Host
from test_worker import gate, wait_for

from pyproc._codec import codec
from pyproc._dispatch import Dispatcher, answer_with
from pyproc._errors import Interrupted
from pyproc._interrupt import Interrupt, PureRunning
from pyproc._protocol import Kind, Status, encode_frame
from pyproc._registry import REGISTRY, expose
from pyproc._state_page import BYTES, INTERRUPT, TAKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Spawn

pytestmark = pytest.mark.skipif(not HAS_PAGE, reason="no memfd_create")

PRELUDE = """
from pyproc import *
import os, signal, subprocess, sys, threading, time, weakref
@expose
def echo(x): return x
"""


def begin(path: Path) -> str:
    """Source of a statement that says that the function runs."""
    return f"open({str(path)!r}, 'w').write('yes')"


ENDLESS = {
    "loop": "while True: pass",
    "sleep": "time.sleep(3600)",
    "lock": "lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "child": "subprocess.run(['sleep', '3600'])",
    "thread": "threading.Thread(target=time.sleep, args=(3600,), daemon=True).run()",
}


@pytest.mark.parametrize("statement", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_function_is_interrupted_where_it_is(
    ready: Spawn, tmp_path: Path, statement: str
) -> None:
    running = tmp_path / "running"
    host = ready(PRELUDE + f"@expose\ndef endless(x):\n    {begin(running)}\n    {statement}\n")
    host.request(1, "endless")
    host.request(2, "echo", "next")
    wait_for(running)
    host.interrupt_until_answered(1)
    call, status, error = host.failed()
    assert (call, status, error["type"]) == (1, Status.INTERRUPTED, "pyproc.Interrupted")
    assert error["message"] == "the host has interrupted the call"
    assert f"    {statement}\n" in error["traceback"]
    assert "_interrupt" not in error["traceback"]
    assert host.expect(Kind.REPLY)[3] == 2


@pytest.mark.parametrize("where", ["argument", "result"])
def test_a_conversion_is_interrupted_too(ready: Spawn, tmp_path: Path, where: str) -> None:
    running = tmp_path / "running"
    host = ready(
        PRELUDE
        + f"""
from dataclasses import dataclass
@dataclass
class Slow:
    x: int
    def __post_init__(self):
        {begin(running)}
        while True: pass
class Endless(list):
    def __iter__(self):
        {begin(running)}
        while True: pass
@expose
def argument(a: Slow): return 1
@expose
def result(body): return Endless([1])
"""
    )
    host.request(1, where, {"x": 1})
    wait_for(running)
    host.interrupt_until_answered(1)
    assert host.failed()[:2] == (1, Status.INTERRUPTED)
    assert host.call("echo", 2, call=2) == 2


def test_a_function_that_cleans_up_is_left_in_peace(ready: Spawn, tmp_path: Path) -> None:
    running, cleaning, go = (tmp_path / name for name in ("running", "cleaning", "go"))
    host = ready(
        PRELUDE
        + f"""
@expose
def tidy(again):
    try:
        {begin(running)}
        while True: pass
    except Interrupted:
        {begin(cleaning)}
        while not os.path.exists({str(go)!r}): pass
        if again: raise
        return "tidied up"
"""
    )
    for call, again in ((1, False), (2, True)):
        for path in (running, cleaning, go):
            path.unlink(missing_ok=True)
        host.request(call, "tidy", again)
        wait_for(running)
        while not cleaning.exists():
            host.interrupt(call)
        for _ in range(50):
            host.interrupt(call)
            time.sleep(0.001)
        go.touch()
        if again:
            assert host.failed()[:2] == (call, Status.INTERRUPTED)
        else:
            frame = host.expect(Kind.REPLY)
            assert (frame[3], json.loads(frame[6])) == (call, "tidied up")


@pytest.mark.parametrize("hook", ["", "sys.unraisablehook = lambda it: print(it.exc_value)"])
@pytest.mark.parametrize("where", ["finalizer", "callback"])
def test_an_interrupt_that_python_swallows_comes_again(
    ready: Spawn, tmp_path: Path, where: str, hook: str
) -> None:
    running, after = tmp_path / "running", tmp_path / "after"
    host = ready(
        PRELUDE
        + f"""
def hang(*ignored):
    {begin(running)}
    while True: pass
class Finalizer:
    def __del__(self): hang()
class Callback: pass
class Broken:
    def __del__(self): raise ValueError("of the user's own")
@expose
def finalizer(x):
    {hook or "pass"}
    it = Finalizer()
    del it
    go_on()
@expose
def callback(x):
    {hook or "pass"}
    it = Callback()
    reference = weakref.ref(it, hang)
    del it
    go_on()
def go_on():
    Broken()
    {begin(after)}
    while True: pass
"""
    )
    host.request(1, where)
    wait_for(running)
    host.interrupt_until_answered(1)
    assert after.exists(), "the first exception was not swallowed"
    call, status, error = host.failed()
    assert (call, status) == (1, Status.INTERRUPTED)
    assert "in go_on" in error["traceback"]
    host.send(Kind.GOODBYE)
    code, out, err = host.wait()
    assert code == 0
    # The hooks of others still hear of everything else.
    assert "of the user's own" in (out if hook else err)
    assert "Interrupted" not in out + err


def test_only_the_running_call_is_interrupted(ready: Spawn, tmp_path: Path) -> None:
    host = ready(gate(tmp_path))
    assert host.call("echo", 1, call=1) == 1
    host.interrupt(1)
    host.request(2, "hold", "held")
    host.request(3, "echo", 3)
    wait_for(tmp_path / "running")
    for other in (0, 1, 3, 4, 2**64 - 1):
        host.interrupt(other)
        time.sleep(0.02)
    (tmp_path / "go").touch()
    assert [host.expect(Kind.REPLY)[3] for _ in range(2)] == [2, 3]
    host.interrupt(3)
    assert host.call("echo", 4, call=4) == 4


def test_an_exception_of_the_users_own_is_no_interrupt(ready: Spawn, tmp_path: Path) -> None:
    running = tmp_path / "running"
    host = ready(
        PRELUDE
        + f"""
kept = []
@expose
def fake(x): raise Interrupted("by myself")
@expose
def keep(x):
    try:
        {begin(running)}
        while True: pass
    except Interrupted as error: kept.append(error)
@expose
def late(x): raise kept[0]
@expose
def other(x):
    try:
        {begin(running)}
        while True: pass
    except Interrupted: raise ValueError("cleaning up failed")
"""
    )
    host.request(1, "fake")
    assert host.failed()[1] == Status.EXCEPTION
    host.request(2, "keep")
    wait_for(running)
    host.interrupt_until_answered(2)
    assert host.expect(Kind.REPLY)[3] == 2
    host.request(3, "late")
    assert host.failed()[1] == Status.EXCEPTION
    running.unlink()
    host.request(4, "other")
    wait_for(running)
    host.interrupt_until_answered(4)
    _, status, error = host.failed()
    assert (status, error["type"]) == (Status.EXCEPTION, "ValueError")


@pytest.mark.parametrize("page", [True, False])
def test_signals_from_anywhere_are_harmless(ready: Spawn, page: bool) -> None:
    host = ready(PRELUDE, page=page)
    for call in range(1, 100):
        for number in (signal.SIGURG, signal.SIGWINCH):
            host.process.send_signal(number)
        assert host.call("echo", call, call=call) == call


def test_a_log_record_is_never_torn(ready: Spawn, tmp_path: Path) -> None:
    running = tmp_path / "running"
    host = ready(
        PRELUDE
        + f"""
import logging
@expose
def talk(x):
    {begin(running)}
    while True: logging.info("x" * 60_000)
""",
        log_level=logging.INFO,
    )
    for call in range(1, 20):
        running.unlink(missing_ok=True)
        host.request(call, "talk")
        wait_for(running)
        time.sleep(0.005)
        # The socket is full by now, and the worker waits within a frame.
        host.interrupt(call)
        stop = threading.Event()
        thread = threading.Thread(target=repeat, args=(host, call, stop))
        thread.start()
        try:
            while (frame := host.read()) is not None and frame[0] == Kind.LOG:
                assert json.loads(frame[6])["message"] == "x" * 60_000
        finally:
            stop.set()
            thread.join()
        assert frame is not None
        assert (frame[0], frame[2], frame[3]) == (Kind.ERROR, Status.INTERRUPTED, call)


def repeat(host: Host, call: int, stop: threading.Event) -> None:
    while not stop.wait(0.005):
        host.interrupt(call)


def test_the_loop_itself_is_never_hit(ready: Spawn) -> None:
    """Every call gets one answer, whenever a signal comes."""
    host = ready(
        PRELUDE
        + """
class Thing: pass
@expose
def fail(x): raise ValueError(x)
@expose
def convert(a: list[int], b: dict[str, float]) -> dict: return {"a": a, "b": b}
@expose
def strange(x): return Thing()
@expose
def compute(x): return sum(range(3000))
""",
        spin_us=100,
    )
    expected = {
        "echo": (Kind.REPLY, 0),
        "fail": (Kind.ERROR, Status.EXCEPTION),
        "convert": (Kind.REPLY, 0),
        "strange": (Kind.ERROR, Status.INVALID_RESULT),
        "compute": (Kind.REPLY, 0),
    }
    names = list(expected)
    bodies = {"convert": b'{"a": [1, 2, 3], "b": {"x": 1.5}}'}
    stop = threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            # To sleep gives the worker the core; to wake takes it away somewhere in a call.
            time.sleep(0.000_05)
            host.interrupt(host.words[TAKEN])

    thread = threading.Thread(target=hammer)
    thread.start()
    interrupted = dict.fromkeys(names, 0)
    chance = random.Random(4)
    try:
        for first in range(1, 20_000, 200):
            calls = {call: chance.choice(names) for call in range(first, first + 200)}
            frames = [
                encode_frame(
                    Kind.REQUEST, bodies.get(name, b"1"), index=host.functions[name], call=call
                )
                for call, name in calls.items()
            ]
            host.socket.sendall(b"".join(frames))
            for call, name in calls.items():
                frame = host.read()
                assert frame is not None, "the worker is gone"
                assert frame[3] == call
                if (frame[0], frame[2]) == (Kind.ERROR, Status.INTERRUPTED):
                    interrupted[name] += 1
                else:
                    assert (frame[0], frame[2]) == expected[name]
    finally:
        stop.set()
        thread.join()
    assert sum(interrupted.values()), "no signal has come within a call"
    host.send(Kind.DRAIN)
    assert host.expect(Kind.GOODBYE)
    assert host.wait() == (0, "", "")


def test_signals_that_the_host_blocks_reach_the_worker(ready: Spawn, tmp_path: Path) -> None:
    running = tmp_path / "running"
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        host = ready(
            PRELUDE + f"@expose\ndef endless(x):\n    {begin(running)}\n    while True: pass\n"
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    host.request(1, "endless")
    wait_for(running)
    host.process.send_signal(signal.SIGWINCH)
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while "in endless" not in host.shared.read_stacks():
        assert time.monotonic() < give_up
        time.sleep(0.002)
    host.interrupt_until_answered(1)
    assert host.failed()[1] == Status.INTERRUPTED
    host.process.send_signal(signal.SIGTERM)
    assert host.expect(Kind.DRAIN)
    assert host.expect(Kind.GOODBYE)
    assert host.wait() == (0, "", "")


def test_what_a_function_opens_in_place_of_what_it_has_closed_is_its_own(
    ready: Spawn, tmp_path: Path
) -> None:
    running, file = tmp_path / "running", tmp_path / "file"
    host = ready(
        PRELUDE
        + f"""
@expose
def endless(x):
    os.closerange(3, 100)
    for _ in range(50): os.open({str(file)!r}, os.O_RDWR | os.O_CREAT)
    {begin(running)}
    while True: pass
"""
    )
    host.request(1, "endless")
    wait_for(running)
    host.interrupt_until_answered(1)
    assert host.failed()[1] == Status.INTERRUPTED
    host.process.send_signal(signal.SIGTERM)
    assert host.expect(Kind.DRAIN)
    assert host.expect(Kind.GOODBYE)
    assert host.wait() == (0, "", "")
    assert file.read_bytes() == b""


def test_the_first_import_of_logging_is_whole_and_may_fail(ready: Spawn, tmp_path: Path) -> None:
    running, go = tmp_path / "running", tmp_path / "go"
    host = ready(
        PRELUDE
        + f"""
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "string":
            sys.meta_path.remove(self)
            {begin(running)}
            while not os.path.exists({str(go)!r}): pass
@expose
def fail(x):
    sys.modules["string"] = None
    try: import logging
    except ImportError: return "logging" in sys.modules
    finally: del sys.modules["string"]
@expose
def load(x):
    sys.meta_path.insert(0, Slow())
    has_logging = False
    try:
        import logging
        has_logging = True
        while True: pass
    except Interrupted: return has_logging
@expose
def log(x):
    import logging
    logging.info("forwarded")
""",
        log_level=logging.INFO,
    )
    assert host.call("fail", call=1) is False
    host.request(2, "load")
    wait_for(running)
    for _ in range(50):
        host.interrupt(2)
        time.sleep(0.001)
    go.touch()
    host.interrupt_until_answered(2)
    assert json.loads(host.expect(Kind.REPLY)[6]) is True
    host.request(3, "log")
    assert json.loads(host.expect(Kind.LOG)[6])["message"] == "forwarded"


@pytest.fixture
def handled() -> Iterator[None]:
    """Give the handler of the signal back."""
    before = signal.getsignal(signal.SIGURG)
    yield
    signal.signal(signal.SIGURG, before)


@pytest.mark.usefixtures("hook", "handled")
def test_no_lock_of_logging_is_lost() -> None:
    class Lock:
        """Is taken as the signal comes, and let go of when it comes again."""

        def __init__(self) -> None:
            self.acquire = self.release = partial(signal.raise_signal, signal.SIGURG)

    words = memoryview(bytearray(BYTES)).cast("Q")
    running = PureRunning()
    interrupt = Interrupt(running, words)
    interrupt.install()
    running.call = words[INTERRUPT] = 1
    handler = logging.NullHandler()
    handler.lock = Lock()  # type: ignore[assignment]
    handler.acquire()
    handler.release()
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGURG)


@pytest.mark.usefixtures("hook")
def test_an_exit_that_the_loop_has_is_kept() -> None:
    words = memoryview(bytearray(BYTES)).cast("Q")

    class Late(PureRunning):
        """Is interrupted as the function is left."""

        def __setattr__(self, name: str, value: int) -> None:
            if (name, value) == ("call", 0) and getattr(self, "call", None) and not self.hit:
                words[INTERRUPT] = self.call
                Interrupt(self, words)._handle(signal.SIGURG, None)
            super().__setattr__(name, value)

    running = Late()

    @expose
    def leave(how: str) -> None:
        try:
            sys.exit(how)
        finally:
            if how == "replaced":
                running.call = 0

    class Answers:
        def fail(self, call: int, status: int, failure: object) -> None:
            statuses.append(status)

    statuses: list[int] = []
    dispatcher = Dispatcher(REGISTRY)
    answer = answer_with(dispatcher.find("leave"), codec("json"), running)
    request: Any = SimpleNamespace(call=1, body=b'"late"', connection=Answers())
    with pytest.raises(SystemExit, match="late"):
        copy_context().run(answer, request)
    running.hit = 0
    request.body = b'"replaced"'
    copy_context().run(answer, request)
    assert statuses == [Status.INTERRUPTED]


@pytest.fixture
def hook() -> Iterator[None]:
    """Give the hook back."""
    before = sys.unraisablehook
    yield
    sys.unraisablehook = before


@pytest.mark.usefixtures("hook")
def test_a_hook_that_wraps_ours_is_wrapped_and_nothing_goes_in_circles() -> None:
    words = memoryview(bytearray(BYTES)).cast("Q")
    running = PureRunning()
    interrupt = Interrupt(running, words)
    seen: list[object] = []

    class Broken:
        def __del__(self) -> None:
            raise ValueError

    def wrap(inner: Callable[[Any], object] | None) -> Callable[[Any], None]:
        def hook(unraisable: Any) -> None:
            seen.append(unraisable.exc_value)
            if inner is not None:
                inner(unraisable)

        return hook

    for call in range(1, 5):
        sys.unraisablehook = wrap(None if call == 1 else sys.unraisablehook)
        running.call = words[INTERRUPT] = call
        with pytest.raises(BaseException, match="the host has interrupted"):
            interrupt._handle(signal.SIGURG, None)
        interrupt._handle(signal.SIGURG, None)  # It is left in peace.
        seen.clear()
        Broken()
        assert len(seen) == call
