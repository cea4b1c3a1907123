"""Where the threads of a worker are, told whatever the worker does."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host import HAS_PAGE, TIMEOUT_SECONDS, Host
from test_worker import wait_for

from pyproc._protocol import Kind

if TYPE_CHECKING:
    from conftest import Spawn

pytestmark = pytest.mark.skipif(not HAS_PAGE, reason="no memfd_create")

PRELUDE = "from pyproc import *\nimport ctypes, os, sys, threading, time\n"


def stacks(host: Host, *parts: str) -> str:
    """Ask for the stacks, and wait until all of these are in them."""
    host.process.send_signal(signal.SIGWINCH)
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while not all(part in (text := host.shared.read_stacks()) for part in parts):
        assert time.monotonic() < give_up, text
        time.sleep(0.002)
    return text


HELD = {
    "the lock": "ctypes.PyDLL(None).usleep(3_000_000)",
    # Python 3.11 does not catch what a signal raises when a loop jumps back to where its `try`
    # begins.
    "a loop": "\n        count = 0\n        while True: count += 1",
    "a sleep": "time.sleep(3600)",
}


@pytest.mark.parametrize("statement", HELD.values(), ids=HELD)
def test_the_stacks_of_a_busy_worker_are_shown_and_it_lives(
    ready: Spawn, tmp_path: Path, statement: str
) -> None:
    running = tmp_path / "running"
    host = ready(
        PRELUDE
        + f"""
def waits(): time.sleep(3600)
@on_start
def begin(): threading.Thread(target=waits, daemon=True).start()
@expose
def hold(x):
    open({str(running)!r}, "w").write("yes")
    try: {statement}
    except Interrupted: pass
    return "held"
@expose
def idle(x): return x
"""
    )
    assert "in waits" in stacks(host, "most recent call first", "_worker.py")
    host.request(1, "hold")
    wait_for(running)
    text = stacks(host, "in hold", "in waits")
    assert 'File "worker.py", line' in text
    host.interrupt_until_answered(1)
    assert json.loads(host.expect(Kind.REPLY)[6]) == "held"
    assert host.call("idle", 1, call=2) == 1


def test_the_stacks_of_a_hanging_import_are_shown(spawn: Spawn, tmp_path: Path) -> None:
    running = tmp_path / "running"
    host = spawn(
        PRELUDE
        + f"""
def hang():
    open({str(running)!r}, "w").write("yes")
    time.sleep(3600)
hang()
"""
    )
    wait_for(running)
    stacks(host, "in hang")


def test_a_crash_leaves_its_trace(ready: Spawn) -> None:
    host = ready(PRELUDE + "@expose\ndef crash(x): ctypes.string_at(0)\n")
    host.request(1, "crash")
    code, _, err = host.wait()
    assert code == -signal.SIGSEGV
    text = host.shared.read_stacks()
    assert text.startswith("Fatal Python error: Segmentation fault")
    assert "in crash" in text
    assert "in crash" not in err


def test_without_a_place_for_them_the_trace_of_a_crash_goes_to_stderr(ready: Spawn) -> None:
    host = ready(PRELUDE + "@expose\ndef crash(x): ctypes.string_at(0)\n", page=False)
    host.request(1, "crash")
    code, _, err = host.wait()
    assert code == -signal.SIGSEGV
    assert "in crash" in err
