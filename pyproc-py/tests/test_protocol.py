"""The golden frames, read from the file that the Rust tests read too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyproc._connection_binary import BinaryConnection
from pyproc._connection_json import JsonConnection
from pyproc._handshake import Hello
from pyproc._protocol import (
    HEADER_LENGTH,
    Flag,
    Kind,
    ProtocolError,
    encode_frame,
    parse_frame,
)
from pyproc._registry import Registry
from pyproc._splitter import Splitter

TESTDATA = Path(__file__).parents[2] / "pyproc-proto" / "testdata" / "frames.json"
GOLDEN: dict[str, Any] = json.loads(TESTDATA.read_text())
MAX_FRAME: int = GOLDEN["max_frame"]


def cases(key: list[Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(each, id=each["name"]) for each in key])


def upper(name: str) -> str:
    """Return the name of a constant: `StreamItem` is `STREAM_ITEM`."""
    if name.isupper() or name.islower():
        return name.upper()
    return "".join(f"_{c}" if c.isupper() else c for c in name).strip("_").upper()


def body_of(case: dict[str, Any]) -> bytes:
    return bytes.fromhex(case["body_hex"]) if "body_hex" in case else case["body_text"].encode()


def flags_of(case: dict[str, Any]) -> int:
    return sum(getattr(Flag, upper(name)) for name in case["flags"])


@cases(GOLDEN["frames"])
def test_golden_frame_is_read(case: dict[str, Any]) -> None:
    (payload,) = Splitter(MAX_FRAME).feed(bytes.fromhex(case["hex"]))
    assert parse_frame(payload) == (
        getattr(Kind, upper(case["kind"])),
        flags_of(case),
        case["index"],
        case["call"],
        case["deadline"],
        tuple(map(tuple, case["metadata"])),
        body_of(case),
    )


@cases(GOLDEN["frames"])
def test_golden_frame_is_written(case: dict[str, Any]) -> None:
    written = encode_frame(
        getattr(Kind, upper(case["kind"])),
        body_of(case),
        flags=flags_of(case),
        index=case["index"],
        call=case["call"],
        deadline=case["deadline"],
        metadata=case["metadata"],
    )
    assert written.hex() == case["hex"]


@cases([case for case in GOLDEN["invalid_frames"] if case["layer"] == "frame"])
def test_invalid_frame_is_refused(case: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        list(map(parse_frame, Splitter(MAX_FRAME).feed(bytes.fromhex(case["hex"]))))


@cases([case for case in GOLDEN["invalid_frames"] if case["layer"] == "kind"])
def test_frame_that_does_not_fit_its_kind_condemns_the_connection(case: dict[str, Any]) -> None:
    connection = opened()
    with pytest.raises(ProtocolError):
        connection.feed(bytes.fromhex(case["hex"]))


@cases([case for case in GOLDEN["json_messages"] if case["direction"] == "request"])
def test_golden_json_request_is_read(case: dict[str, Any]) -> None:
    connection = JsonConnection()
    connection.feed(bytes.fromhex(case["hex"]))
    (request,) = connection.requests
    assert (request.call, request.function) == (case["id"], case["method"])
    assert request.body == json.loads(case["body_text"])


@cases([case for case in GOLDEN["invalid_json_messages"] if case["direction"] == "request"])
def test_invalid_json_request_is_answered(case: dict[str, Any]) -> None:
    connection = JsonConnection()
    connection.feed(bytes.fromhex(case["hex"]))
    assert not connection.requests
    answer = json.loads(connection.take_output()[4:])
    assert answer["id"] == (case["id"] or 0)
    assert answer["error_type"] == "invalid_request"


def test_what_was_not_negotiated_is_refused() -> None:
    for kind in (Kind.STREAM_ITEM, Kind.STREAM_END):
        with pytest.raises(ProtocolError, match="fields that it does not have"):
            opened().feed(encode_frame(kind, call=1))
    with pytest.raises(ProtocolError, match="which no request had"):
        opened().feed(encode_frame(Kind.CREDIT, bytes(4), call=1))
    for flag in (Flag.ONE_WAY, Flag.SHARED_MEMORY):
        with pytest.raises(ProtocolError, match="negotiated"):
            opened().feed(encode_frame(Kind.REQUEST, flags=flag, call=1))


@given(st.data())
def test_any_chunking_gives_the_same_frames(data: st.DataObject) -> None:
    stream = b"".join(bytes.fromhex(case["hex"]) for case in GOLDEN["frames"])
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=40).map(sorted))
    splitter = Splitter(MAX_FRAME)
    payloads: list[bytes] = []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        payloads += splitter.feed(stream[begin:end])
    assert payloads == list(Splitter(MAX_FRAME).feed(stream))
    assert splitter.missing == 0


def test_one_byte_at_a_time_gives_the_same_frames() -> None:
    stream = b"".join(bytes.fromhex(case["hex"]) for case in GOLDEN["frames"])
    splitter = Splitter(MAX_FRAME)
    payloads = [payload for byte in stream for payload in splitter.feed(bytes([byte]))]
    assert payloads == list(Splitter(MAX_FRAME).feed(stream))


@given(st.binary(max_size=200))
def test_any_bytes_are_frames_or_a_protocol_error(data: bytes) -> None:
    connection = opened()
    try:
        connection.feed(data)
    except ProtocolError:
        pass


def test_frames_before_a_broken_one_are_delivered() -> None:
    good = encode_frame(Kind.PING, b"x")
    received = Splitter(MAX_FRAME).feed(good + b"\xff\xff\xff\xff")
    assert next(received) == good[4:]
    with pytest.raises(ProtocolError, match="4294967295"):
        next(received)


def test_the_missing_bytes_are_known() -> None:
    splitter = Splitter(MAX_FRAME)
    frame = encode_frame(Kind.PING, b"0123456789")
    assert list(splitter.feed(frame[:2])) == []
    assert splitter.missing == 2
    assert list(splitter.feed(frame[2:7])) == []
    assert splitter.missing == HEADER_LENGTH + 10 - 7


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([encode_frame(Kind.PONG)], "a host does not send PONG"),
        ([encode_frame(Kind.DRAIN)] * 2, "the host says DRAIN twice"),
        ([encode_frame(Kind.GOODBYE), encode_frame(Kind.PING)], "PING comes after GOODBYE"),
        ([encode_frame(Kind.CANCEL, call=1)], "CANCEL has the call id 1, which no request had"),
        ([encode_frame(Kind.CANCEL)], "CANCEL has the call id 0, which no request had"),
    ],
)
def test_what_no_host_says_condemns_the_connection(frames: list[bytes], message: str) -> None:
    connection = opened()
    with pytest.raises(ProtocolError, match=message):
        connection.feed(b"".join(frames))


def test_the_worker_s_own_drain_may_cross_the_host_s() -> None:
    connection = opened()
    connection.drain()
    connection.feed(encode_frame(Kind.DRAIN))
    assert connection.is_draining


def test_what_crosses_a_refusal_is_ignored() -> None:
    connection = BinaryConnection()
    hello = encode_frame(Kind.HELLO, b'{"protocol":1,"codec":"none"}')
    connection.feed(hello + encode_frame(Kind.PING))
    (refusal,) = map(parse_frame, Splitter(MAX_FRAME).feed(connection.take_output()))
    assert refusal[0] == Kind.ERROR
    assert connection.has_ended


def opened() -> BinaryConnection:
    connection = BinaryConnection()
    hello = {"protocol": 1, "codec": "json", "max_frame": MAX_FRAME}
    connection.open(Hello.parse(json.dumps(hello).encode()), Registry().complete())
    connection.take_output()
    return connection
