"""What a worker tells its host, and hears from it, in shared memory."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host import HAS_PAGE, PACKAGE, Wire, sealed_page
from test_worker import gate, wait_for

from pyproc import _registry, _state_page
from pyproc._connection_binary import BinaryConnection
from pyproc._core import choose
from pyproc._dispatch import Dispatcher
from pyproc._fork import ForkGuard
from pyproc._handshake import Hello
from pyproc._lane import Lane
from pyproc._loop_native import NativeLoop
from pyproc._loop_sync import SyncLoop
from pyproc._protocol import Kind, Status
from pyproc._registry import expose
from pyproc._signals import StopSignal
from pyproc._state_page import (
    BYTES,
    CANCEL_SEQ,
    MAGIC,
    MAGIC_WORD,
    STARTED,
    STARTED_NS,
    TAKEN,
    StatePage,
)

if TYPE_CHECKING:
    from conftest import Spawn

pytestmark = pytest.mark.skipif(not HAS_PAGE, reason="no memfd_create")

PRELUDE = "from pyproc import *\nimport os, sys, time\n"
RUST = Path(__file__).parents[2] / "pyproc-proto" / "src" / "state_page.rs"


def test_the_layout_is_that_of_the_host() -> None:
    text = RUST.read_text()
    words = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper(): int(place)
        for name, place in re.findall(r"^    (\w+) = (\d+),$", text, re.MULTILINE)
    }
    words["MAGIC_WORD"] = words.pop("MAGIC")
    assert words == {name: vars(_state_page)[name] for name in words}
    assert f"pub const BYTES: usize = {BYTES};" in text
    assert 'from_ne_bytes(*b"pyproc\\x00\\x01")' in text
    assert memoryview(b"pyproc\x00\x01").cast("Q")[0] == MAGIC


def test_a_call_is_taken_before_its_arguments_are_converted(ready: Spawn, tmp_path: Path) -> None:
    running, go = tmp_path / "running", tmp_path / "go"
    host = ready(
        PRELUDE
        + f"""
from dataclasses import dataclass
@dataclass
class Slow:
    x: int
    def __post_init__(self):
        open({str(running)!r}, "w").write("yes")
        while not os.path.exists({str(go)!r}): time.sleep(0.001)
@expose
def take(a: Slow): return 1
"""
    )
    assert host.words[TAKEN] == 0
    host.call("health", {}, call=3)
    assert host.words[TAKEN] == 3
    before = time.monotonic_ns()
    host.request(7, "take", {"x": 1})
    host.request(8, "take", {"x": 1})
    wait_for(running)
    # The one behind it was not.
    assert host.words[TAKEN] == 7
    # Its function may have been short before, but nobody knew yet.
    assert host.words[STARTED] == 7
    assert before <= host.words[STARTED_NS] <= time.monotonic_ns()
    go.touch()
    assert [host.expect(Kind.REPLY)[3] for _ in range(2)] == [7, 8]
    assert host.words[TAKEN] == 8


def test_a_call_that_is_not_run_is_not_taken(ready: Spawn, tmp_path: Path) -> None:
    host = ready(gate(tmp_path))
    host.send(Kind.REQUEST, b"1", index=99, call=1)
    assert host.failed()[1] == Status.FUNCTION_NOT_FOUND
    host.request(2, "echo", deadline=1)
    assert host.failed()[1] == Status.DEADLINE
    assert host.words[TAKEN] == 0
    host.request(3, "hold")
    wait_for(tmp_path / "running")
    host.request(4, "echo")
    host.send(Kind.CANCEL, call=4)
    (tmp_path / "go").touch()
    frames = {frame[3]: frame for frame in (host.read(), host.read()) if frame is not None}
    assert frames[4][2] == Status.CANCELLED
    assert host.words[TAKEN] == 3


def test_the_page_is_kept_before_any_code_of_the_user_runs(spawn: Spawn, tmp_path: Path) -> None:
    running, go = tmp_path / "running", tmp_path / "go"
    host = spawn(
        PRELUDE
        + f"open({str(running)!r}, 'w').write('yes')\n"
        + f"while not os.path.exists({str(go)!r}): time.sleep(0.001)\n"
    )
    wait_for(running)
    assert host.words[MAGIC_WORD] == MAGIC
    go.touch()
    host.welcome()


def test_a_page_that_is_too_short_is_none(ready: Spawn) -> None:
    short = sealed_page(100)
    try:
        host = ready(PRELUDE, page=False, descriptors={"state_page": short})
        assert host.call("health", {})
    finally:
        os.close(short)
    host.send(Kind.GOODBYE)
    code, _, err = host.wait()
    assert code == 0
    assert err == "pyproc: there is no state page: mmap length is greater than file size\n"


def test_a_page_that_could_become_too_short_is_none(ready: Spawn) -> None:
    page = os.memfd_create("page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(page, BYTES)
    try:
        host = ready(PRELUDE, page=False, descriptors={"state_page": page})
        os.ftruncate(page, 0)
        assert host.call("health", {})
    finally:
        os.close(page)
    host.send(Kind.GOODBYE)
    code, _, err = host.wait()
    assert code == 0
    assert err == "pyproc: there is no state page: the host could make it shorter\n"


def test_the_end_of_a_page_closes_no_descriptor_of_others() -> None:
    code = """
import gc, os, sys
from pyproc._state_page import StatePage
page = StatePage(int(sys.argv[1]))
gc.collect()
gc.freeze()
os.closerange(3, 50)
mine = [os.open(os.devnull, os.O_RDONLY) for _ in range(20)]
del page
for number in mine: os.close(number)
"""
    page = sealed_page()
    try:
        command = [sys.executable, "-c", code, str(page)]
        env = {**os.environ, "PYTHONPATH": str(PACKAGE)}
        subprocess.run(command, env=env, pass_fds=[page], check=True)
    finally:
        os.close(page)


def test_descriptors_that_are_not_known_are_closed(ready: Spawn, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("")
    file = os.open(tmp_path / "secret", os.O_RDONLY)
    try:
        host = ready(
            PRELUDE
            + """
@expose
def look(x):
    names = []
    for number in os.listdir("/proc/self/fd"):
        try: names.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError: pass
    return names
""",
            descriptors={"arena": file},
        )
    finally:
        os.close(file)
    names = host.call("look", 1)
    assert not [name for name in names if "secret" in name]
    # What is mapped needs no descriptor, which children would have, too.
    assert not [name for name in names if "memfd:page" in name]
    assert len([name for name in names if "memfd:stacks" in name]) == 1


def test_descriptors_that_are_lost_on_the_way_fail_the_start(spawn: Spawn) -> None:
    host = spawn(PRELUDE, greet=False)
    host.hello(descriptors=["lifeline", "state_page"])
    status, error = host.refused()
    assert status == Status.INVALID_HELLO
    assert error["message"] == "the host sends 2 descriptors, and 0 have arrived"


def test_a_forked_child_does_not_touch_the_page(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
import signal
@expose
def fork(how):
    pid = os.fork()
    if pid == 0:
        for number in (signal.SIGURG, signal.SIGWINCH): os.kill(os.getpid(), number)
        if how == "raise": raise ValueError("in the child")
        if how == "exit": sys.exit(5)
        if how == "crash": os.abort()
        return "child"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
    )
    for call, (how, code) in enumerate(
        [("return", 0), ("raise", 0), ("exit", 5), ("crash", -6)], start=1
    ):
        host.request(call, "fork", how)
        # If it is the child that the signal finds interruptible, it is the page that it reads.
        host.words[_state_page.INTERRUPT] = call
        frame = host.expect(Kind.REPLY)
        assert (frame[3], frame[6]) == (call, b"%d" % code)
    # What kills a child says nothing about the worker.
    assert host.shared.read_stacks() == ""
    host.send(Kind.GOODBYE)
    _, _, err = host.wait()
    assert "Fatal Python error: Aborted" in err


def test_a_cancelled_call_behind_a_short_one_is_skipped_at_once(core: str) -> None:
    ours, theirs = socket.socketpair()
    wire = Wire(theirs)
    page = StatePage(sealed_page())
    ran = []

    def first() -> int:
        wire.send(Kind.CANCEL, call=3)
        page.words[CANCEL_SEQ] += 1
        return 1

    def second(number: int) -> int:
        ran.append(number)
        return number

    expose(first)
    expose(second)
    stop = StopSignal()
    lane = Lane(ours, stop)
    guard = ForkGuard()
    dispatcher = Dispatcher(_registry.REGISTRY)
    hello = Hello.parse(b'{"protocol":1,"codec":"json"}')
    connection = BinaryConnection()
    connection.open(hello, dispatcher.functions)
    names = {function.name: index for index, function in enumerate(dispatcher.functions)}
    wire.send(Kind.REQUEST, b"{}", index=names["first"], call=1)
    for call in (2, 3, 4):
        wire.send(Kind.REQUEST, b"%d" % call, index=names["second"], call=call)
    wire.send(Kind.DRAIN)
    compiled = choose(core)
    loop: SyncLoop | NativeLoop
    if compiled is None:
        loop = SyncLoop(lane, connection, dispatcher, stop, guard, 0, page)
    else:
        running = compiled.module.Running()
        loop = NativeLoop(compiled, lane, connection, dispatcher, stop, guard, hello, page, running)
    # A process ends with its loop, which need not take back what it says about the last call.
    copy_context().run(loop.run)
    assert ran == [2, 4]
    wire.expect(Kind.WELCOME)
    answers = {}
    for _ in range(4):
        frame = wire.read()
        assert frame is not None
        answers[frame[3]] = (frame[0], frame[2])
    assert answers == {
        1: (Kind.REPLY, 0),
        2: (Kind.REPLY, 0),
        3: (Kind.ERROR, Status.CANCELLED),
        4: (Kind.REPLY, 0),
    }
    lane.close()
    wire.close()
    stop.close()
    guard.close()
    page.words.release()
    page._memory.close()
