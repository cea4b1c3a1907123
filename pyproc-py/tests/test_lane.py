"""The lane of a spawned worker, between threads."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator

import pytest
from host import Wire

from pyproc._lane import MAX_UNWRITTEN_BYTES, Lane
from pyproc._logging import HostHandler
from pyproc._protocol import Kind
from pyproc._signals import StopSignal

Ends = tuple[Lane, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    ours, theirs = socket.socketpair()
    stop = StopSignal()
    lane = Lane(ours, stop)
    yield lane, theirs
    lane.abandon()
    theirs.close()
    stop.close()


def test_records_that_nobody_reads_are_dropped_and_counted(ends: Ends) -> None:
    lane, host = ends
    handler = HostHandler(lane, 16 * 1024 * 1024)
    record = logging.LogRecord("a", logging.INFO, "", 0, "x" * 50_000, None, None)
    with lane._writing:  # As a thread has it whose host does not read.
        for _ in range(100):
            handler.handle(record)
        left = sum(map(len, lane._unwritten))
    assert MAX_UNWRITTEN_BYTES < left < MAX_UNWRITTEN_BYTES + 60_000
    messages: list[str] = []

    def read() -> None:
        wire = Wire(host)
        while not messages or messages[-1] != "last":
            messages.append(json.loads(wire.expect(Kind.LOG)[6])["message"])

    reader = threading.Thread(target=read)
    reader.start()
    lane.write(b"")
    handler.handle(logging.LogRecord("a", logging.INFO, "", 0, "last", None, None))
    reader.join()
    kept = messages.count("x" * 50_000)
    assert messages[kept:] == [
        f"{100 - kept} log records were lost: the host read too slowly",
        "last",
    ]


def test_a_reply_waits_where_too_much_is_unwritten(ends: Ends) -> None:
    lane, host = ends
    with lane._writing:
        lane.write(bytes(MAX_UNWRITTEN_BYTES + 1))
        reply = threading.Thread(target=lane.write, args=[b"reply"])
        reply.start()
        reply.join(0.05)
        assert reply.is_alive()
    data = b""
    while not data.endswith(b"reply"):
        data += host.recv(1 << 20)
    reply.join()
    assert len(data) == MAX_UNWRITTEN_BYTES + 6


def test_what_is_unwritten_when_the_lane_closes_is_still_sent(ends: Ends) -> None:
    lane, host = ends
    with lane._writing:
        lane.write(b"last reply")
    lane.close()
    assert host.recv(100) == b"last reply"
    assert host.recv(100) == b""
