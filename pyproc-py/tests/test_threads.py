"""Threads and signals of a worker that looks for requests before it sleeps."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from host import TIMEOUT_SECONDS

from pyproc._protocol import Kind

if TYPE_CHECKING:
    from conftest import Spawn

BUSY = """
from pyproc import expose
import threading
turns = 0

def compute():
    global turns
    while True:
        turns += 1

@expose
def start(threads):
    for _ in range(threads):
        threading.Thread(target=compute, daemon=True).start()

@expose
def count(x):
    return turns
"""


@pytest.mark.parametrize("spin_us", [0, 100, 1_000_000])
def test_calls_get_through_while_threads_compute(ready: Spawn, spin_us: int) -> None:
    host = ready(BUSY, spin_us=spin_us)
    host.call("start", 2)
    began = time.monotonic()
    counts = [host.call("count", call=2)]
    while len(counts) < 20 or counts[0] == counts[-1]:
        counts.append(host.call("count", call=2 + len(counts)))
        # Each switch of threads may take 5 ms, and a call needs some; it must not need more and
        # more of them. Nor may the calls keep the threads from running.
        assert time.monotonic() - began < TIMEOUT_SECONDS / 3
    last = 1 + len(counts)
    # A queue of calls is no different.
    queued = range(last + 1, last + 301)
    for call in queued:
        host.request(call, "count")
    assert [host.expect(Kind.REPLY)[3] for _ in queued] == list(queued)


def test_a_thread_that_logs_without_end_keeps_no_reply_waiting(ready: Spawn) -> None:
    host = ready(
        """
from pyproc import expose
import logging, threading

def log():
    while True:
        logging.info("again")

@expose
def start(x):
    threading.Thread(target=log, daemon=True).start()

@expose
def echo(x):
    return x
""",
        spin_us=100,
    )
    host.call("start")
    for call in range(2, 22):
        assert host.call("echo", call, call=call) == call


@pytest.mark.parametrize("spin_us", [100, 1_000_000])
def test_sigterm_ends_a_worker_that_looks(ready: Spawn, spin_us: int) -> None:
    host = ready(BUSY, spin_us=spin_us)
    host.call("count")
    host.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert [frame[0] for frame in iter(host.read, None)] == [Kind.DRAIN, Kind.GOODBYE]
    # Much less than what it may look for; only so much for a machine that is busy.
    assert time.monotonic() - began < TIMEOUT_SECONDS / 3
    assert host.wait()[0] == 0
