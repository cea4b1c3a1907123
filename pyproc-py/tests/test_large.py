"""Payloads that are too long to be read in one piece."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyproc._connection import LARGE_BYTES, READ_BYTES, Connection
from pyproc._connection_binary import BinaryConnection
from pyproc._connection_json import JsonConnection
from pyproc._handshake import Hello
from pyproc._large import MAPPED_BYTES, LargePayload
from pyproc._protocol import Kind, encode_frame
from pyproc._registry import Registry

if TYPE_CHECKING:
    from conftest import Spawn

MIB = 1024 * 1024
ECHO = "from pyproc import expose\n@expose\ndef echo(x): return x\n"


def opened() -> BinaryConnection:
    connection = BinaryConnection()
    hello = {"protocol": 1, "codec": "json", "max_frame": 64 * MIB}
    connection.open(Hello.parse(json.dumps(hello).encode()), Registry().complete())
    connection.take_output()
    return connection


def read(connection: Connection, stream: bytes, sizes: list[int]) -> None:
    """Have the connection read the stream, at most as many bytes at once as `sizes` say."""
    offset = turn = 0
    while offset < len(stream):
        room = connection.room
        count = min(len(room), sizes[turn % len(sizes)], len(stream) - offset)
        room[:count] = stream[offset : offset + count]
        connection.filled(count)
        offset += count
        turn += 1


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from([0, 10, READ_BYTES - 28, READ_BYTES, 3 * READ_BYTES, MAPPED_BYTES])),
    st.lists(st.sampled_from([1000, 4095, READ_BYTES, 3 * READ_BYTES, MIB]), min_size=1),
)
def test_any_chunking_gives_the_same_requests(bodies: list[int], sizes: list[int]) -> None:
    sent = [bytes([1 + call % 255]) * size for call, size in enumerate(bodies)]
    connection = opened()
    frames = [encode_frame(Kind.REQUEST, body, call=1 + i) for i, body in enumerate(sent)]
    read(connection, b"".join(frames), sizes)
    assert [bytes(request.body) for request in connection.requests] == sent
    assert connection.room.nbytes == READ_BYTES


def test_a_large_json_message_is_read() -> None:
    connection = JsonConnection()
    message = json.dumps({"id": 1, "method": "echo", "body": "x" * (3 * MIB)}).encode()
    read(connection, len(message).to_bytes(4, "big") + message, [READ_BYTES])
    (request,) = connection.requests
    assert request.body == "x" * (3 * MIB)


def test_a_large_body_is_not_copied_beside_its_header() -> None:
    connection = opened()
    small, large = b"1" * 10, b"2" * LARGE_BYTES
    for call, body in enumerate([small, small, large, small], start=1):
        connection.reply(call, body)
    pieces = connection.take_pieces()
    assert len(pieces) == 3
    assert pieces[1] is large
    expected = b"".join(
        encode_frame(Kind.REPLY, body, call=call)
        for call, body in enumerate([small, small, large, small], start=1)
    )
    assert b"".join(pieces) == expected
    assert connection.take_output() == b""


def test_what_is_claimed_and_not_sent_takes_no_memory() -> None:
    before = resident_bytes("self")
    payloads = [LargePayload(1024 * MIB, b"only this") for _ in range(8)]
    assert resident_bytes("self") - before < len(payloads) * 4 * MIB


def test_memory_returns_to_what_it_was_after_a_large_call(ready: Spawn) -> None:
    msgspec = pytest.importorskip("msgspec")
    host = ready(ECHO, codec="msgpack", max_frame=65 * MIB)
    body = msgspec.msgpack.encode(b"warm")
    host.request(1, "echo", body)
    assert host.expect(Kind.REPLY)[6] == body
    before = resident_bytes(host.process.pid)
    body = msgspec.msgpack.encode(bytes(64 * MIB))
    host.request(2, "echo", body)
    host._splitter.max_frame = 65 * MIB
    assert host.expect(Kind.REPLY)[6] == body
    host.request(3, "echo", b"\xc0")
    assert host.expect(Kind.REPLY)[6] == b"\xc0"
    assert resident_bytes(host.process.pid) - before < 4 * MIB


def resident_bytes(process: int | str) -> int:
    statm = Path(f"/proc/{process}/statm")
    if not statm.exists():
        pytest.skip("no /proc")
    return int(statm.read_text().split()[1]) * resource.getpagesize()
