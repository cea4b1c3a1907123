"""Calls that are answered by a stream: items, credit, cancelling, and how they end."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from host import TIMEOUT_SECONDS, Host
from test_worker import wait_for

from pyproc._protocol import HEADER_LENGTH, Flag, Kind, Status

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Spawn

SOURCE = """
from pyproc import *
import os, sys, time

@expose
def count(n: int):
    for number in range(n):
        yield number

@expose
def echo(x):
    return x
"""
PLENTY = 1 << 30


def stream(host: Host, call: int, name: str, body: Any, credit: int = PLENTY) -> None:
    """Ask for a stream."""
    host.request(call, name, body, flags=Flag.WANTS_STREAM)
    if credit:
        grant(host, call, credit)


def grant(host: Host, call: int, credit: int) -> None:
    """Let the worker send more of a stream."""
    host.send(Kind.CREDIT, credit.to_bytes(4, "big"), call=call)


def items(host: Host, call: int, count: int) -> list[Any]:
    """Read so many items of a stream, and nothing else."""
    frames = [host.expect(Kind.STREAM_ITEM) for _ in range(count)]
    assert {frame[3] for frame in frames} <= {call}
    return [json.loads(frame[6]) for frame in frames]


def test_items_come_in_order_and_then_the_end(ready: Spawn) -> None:
    host = ready(SOURCE)
    for call, count in ((1, 3), (2, 0), (3, 10_000)):
        stream(host, call, "count", count)
        assert items(host, call, count) == list(range(count))
        assert host.expect(Kind.STREAM_END)[3] == call


def test_the_welcome_says_which_functions_yield_streams(spawn: Spawn) -> None:
    functions = spawn(SOURCE).welcome()["functions"]
    assert {each["name"]: each["stream"] for each in functions} == {
        "count": True,
        "echo": False,
        "health": False,
    }


def test_an_item_does_not_wait_for_the_next_one(ready: Spawn, tmp_path: Path) -> None:
    host = ready(
        SOURCE
        + f"""
@expose
def hold(x):
    yield 1
    while not os.path.exists({str(tmp_path / "go")!r}):
        time.sleep(0.001)
    yield 2
"""
    )
    stream(host, 1, "hold", None)
    assert items(host, 1, 1) == [1]
    (tmp_path / "go").touch()
    assert items(host, 1, 1) == [2]
    host.expect(Kind.STREAM_END)


def test_nothing_runs_before_the_first_credit(ready: Spawn, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    host = ready(
        SOURCE + f"@expose\ndef mark(x):\n    open({str(ran)!r}, 'w').write('yes')\n    yield 1\n"
    )
    stream(host, 1, "mark", None, credit=0)
    assert host.call("echo", 5, call=2) == 5
    assert not ran.exists()
    grant(host, 1, 1)
    assert items(host, 1, 1) == [1]
    assert ran.exists()


def test_a_stream_without_credit_is_set_aside_and_calls_run_meanwhile(ready: Spawn) -> None:
    host = ready(SOURCE)
    frame = HEADER_LENGTH + 1
    # As long as a byte is left, an item may be sent.
    stream(host, 1, "count", 9, credit=frame + 1)
    assert items(host, 1, 2) == [0, 1]
    for call in (2, 3):
        assert host.call("echo", call, call=call) == call
    grant(host, 1, frame - 1)
    assert host.call("echo", 4, call=4) == 4
    grant(host, 1, 1)
    assert items(host, 1, 1) == [2]
    grant(host, 1, PLENTY)
    assert items(host, 1, 6) == [3, 4, 5, 6, 7, 8]
    host.expect(Kind.STREAM_END)


def test_calls_have_their_turn_between_the_items_of_a_stream_that_never_ends(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + """
@expose
def forever(x):
    while True:
        time.sleep(0.001)
        yield x
"""
    )
    stream(host, 1, "forever", None)
    for call in range(2, 12):
        host.request(call, "echo", call)
        while (frame := host.expect_any()) and frame[0] == Kind.STREAM_ITEM:
            assert frame[3] == 1
        assert (frame[0], frame[3]) == (Kind.REPLY, call)
    host.send(Kind.CANCEL, call=1)
    while (frame := host.expect_any()) and frame[0] == Kind.STREAM_ITEM:
        pass
    assert (frame[2], frame[3]) == (Status.CANCELLED, 1)


def test_streams_take_turns(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + "@expose\ndef slowly(n):\n    for i in range(n):\n        time.sleep(0.001)\n"
        + "        yield i\n"
    )
    for call in (1, 2, 3):
        stream(host, call, "slowly", 20)
    seen: dict[int, list[int]] = {1: [], 2: [], 3: []}
    first_end = None
    ended = 0
    while ended < 3:
        frame = host.expect_any()
        if frame[0] == Kind.STREAM_END:
            ended += 1
            first_end = first_end or [len(each) for each in seen.values()]
        else:
            seen[frame[3]].append(json.loads(frame[6]))
    assert all(each == list(range(20)) for each in seen.values())
    assert first_end is not None
    assert min(first_end) >= 18


def test_an_exception_ends_a_stream_after_the_items_before_it(ready: Spawn) -> None:
    host = ready(
        SOURCE + "@expose\ndef fail(n):\n    yield from range(n)\n    raise ValueError('enough')\n"
    )
    stream(host, 1, "fail", 3)
    assert items(host, 1, 3) == [0, 1, 2]
    call, status, error = host.failed()
    assert (call, status, error["type"]) == (1, Status.EXCEPTION, "ValueError")
    assert "in fail" in error["traceback"]
    assert host.call("echo", 1, call=2) == 1


def test_an_item_that_cannot_be_encoded_ends_a_stream_and_the_generator(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + """
closed = []

@expose
def odd(kind: str):
    try:
        yield 1
        yield object() if kind == "object" else "x" * 5000
    finally:
        closed.append(kind)

@expose
def list_closed():
    return closed
""",
        max_frame=4096,
    )
    stream(host, 1, "odd", "object")
    assert items(host, 1, 1) == [1]
    assert host.failed()[1] == Status.INVALID_RESULT
    stream(host, 2, "odd", "large")
    assert items(host, 2, 1) == [1]
    assert host.failed()[1] == Status.TOO_LARGE
    assert host.call("list_closed", {}, call=3) == ["object", "large"]


@pytest.mark.parametrize("is_begun", [True, False])
def test_a_cancelled_stream_cleans_up(ready: Spawn, tmp_path: Path, is_begun: bool) -> None:
    log = tmp_path / "log"
    host = ready(
        SOURCE
        + f"""
@expose
def tidy(x):
    with open({str(log)!r}, "a") as log:
        log.write("begun ")
        try:
            yield 1
        finally:
            log.write("cleaned up")
"""
    )
    stream(host, 1, "tidy", None, credit=int(is_begun))
    if is_begun:
        assert items(host, 1, 1) == [1]
    host.send(Kind.CANCEL, call=1)
    assert host.failed()[:2] == (1, Status.CANCELLED)
    assert (log.read_text() if log.exists() else "") == is_begun * "begun cleaned up"
    assert host.call("echo", 1, call=2) == 1


def test_what_a_cancelled_stream_raises_goes_to_stderr(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + """
@expose
def stubborn(x):
    try:
        yield 1
    except GeneratorExit:
        yield 2

@expose
def fails(x):
    try:
        yield 1
    finally:
        raise ValueError("in the cleaning up")
"""
    )
    for call, name in ((1, "stubborn"), (2, "fails")):
        stream(host, call, name, None, credit=1)
        assert items(host, call, 1) == [1]
        host.send(Kind.CANCEL, call=call)
        assert host.failed()[:2] == (call, Status.CANCELLED)
    host.send(Kind.GOODBYE)
    code, _, err = host.wait()
    assert code == 0
    assert "generator ignored GeneratorExit" in err
    assert "ValueError: in the cleaning up" in err


def test_credit_and_cancel_may_cross_the_end_of_a_stream(ready: Spawn) -> None:
    host = ready(SOURCE)
    stream(host, 1, "count", 0)
    host.expect(Kind.STREAM_END)
    grant(host, 1, 5)
    host.send(Kind.CANCEL, call=1)
    assert host.call("echo", 1, call=2) == 1


@pytest.mark.parametrize("body", [b"", b"123", b"12345"])
def test_credit_that_is_malformed_ends_the_connection(ready: Spawn, body: bytes) -> None:
    host = ready(SOURCE)
    stream(host, 1, "count", 10, credit=0)
    host.send(Kind.CREDIT, body, call=1)
    assert host.read() is None
    assert host.wait()[0] != 0


def test_a_stream_and_a_value_are_not_taken_for_each_other(ready: Spawn) -> None:
    host = ready(SOURCE)
    host.request(1, "count", 3)
    call, status, error = host.failed()
    assert (call, status) == (1, Status.INVALID_ARGUMENT)
    assert "yields a stream" in error["message"]
    stream(host, 2, "echo", 3)
    call, status, error = host.failed()
    assert (call, status) == (2, Status.INVALID_ARGUMENT)
    assert "returns one value" in error["message"]
    assert host.call("echo", 1, call=3) == 1


def test_arguments_of_a_stream_are_checked(ready: Spawn) -> None:
    host = ready(SOURCE)
    stream(host, 1, "count", "three")
    assert host.failed()[:2] == (1, Status.INVALID_ARGUMENT)
    assert host.call("echo", 1, call=2) == 1


def test_the_generator_of_a_stream_is_interrupted_where_it_is(ready: Spawn) -> None:
    host = ready(SOURCE + "@expose\ndef stuck(x):\n    yield 1\n    while True:\n        pass\n")
    stream(host, 1, "stuck", None)
    assert items(host, 1, 1) == [1]
    host.interrupt_until_answered(1)
    call, status, error = host.failed()
    assert (call, status) == (1, Status.INTERRUPTED)
    assert "in stuck" in error["traceback"]
    assert host.call("echo", 1, call=2) == 1


def test_a_drain_waits_for_streams(ready: Spawn) -> None:
    host = ready(SOURCE)
    stream(host, 1, "count", 3, credit=1)
    assert items(host, 1, 1) == [0]
    host.send(Kind.DRAIN)
    grant(host, 1, PLENTY)
    assert items(host, 1, 2) == [1, 2]
    host.expect(Kind.STREAM_END)
    host.expect(Kind.GOODBYE)
    assert host.wait()[0] == 0


def test_the_context_of_a_stream_is_its_own_whenever_it_goes_on(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + "@expose\ndef who(n):\n    for _ in range(n):\n"
        + "        yield current_context().call_id\n"
    )
    for call in (1, 2):
        stream(host, call, "who", 3, credit=1)
        assert items(host, call, 1) == [call]
    for call in (1, 2):
        grant(host, call, HEADER_LENGTH + 1)
        assert items(host, call, 1) == [call]


def test_a_host_that_leaves_ends_a_worker_with_streams(ready: Spawn) -> None:
    host = ready(SOURCE)
    stream(host, 1, "count", 1_000_000, credit=1000)
    assert items(host, 1, 1) == [0]
    host.socket.close()
    assert host.wait()[0] == 0


def test_a_signal_to_stop_is_heeded_between_items(ready: Spawn, tmp_path: Path) -> None:
    running = tmp_path / "running"
    host = ready(
        SOURCE
        + f"""
@expose
def slowly(n):
    open({str(running)!r}, "w").write("yes")
    for number in range(n):
        time.sleep(0.001)
        yield number
"""
    )
    stream(host, 1, "slowly", 50)
    wait_for(running)
    host.process.send_signal(signal.SIGTERM)
    give_up = time.monotonic() + TIMEOUT_SECONDS
    kinds = []
    while (frame := host.read()) is not None:
        assert time.monotonic() < give_up
        kinds.append(frame[0])
    assert kinds.count(Kind.STREAM_ITEM) == 50
    assert kinds[-2:] == [Kind.STREAM_END, Kind.GOODBYE]
    assert Kind.DRAIN in kinds[:-2]
    assert os.path.exists(running)


def test_a_child_that_a_generator_forks_goes_no_further(ready: Spawn, tmp_path: Path) -> None:
    log = tmp_path / "log"
    host = ready(
        SOURCE
        + f"""
@expose
def fork(x):
    if pid := os.fork():
        yield os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    else:
        yield "child"
        open({str(log)!r}, "w").write("it went on")
    yield 2
"""
    )
    stream(host, 1, "fork", None)
    assert items(host, 1, 2) == [0, 2]
    host.expect(Kind.STREAM_END)
    assert not log.exists()


def test_a_generator_that_exits_ends_the_worker_after_what_it_has_yielded(ready: Spawn) -> None:
    host = ready(SOURCE + "@expose\ndef leave(n):\n    yield from range(n)\n    sys.exit(3)\n")
    stream(host, 1, "leave", 5)
    assert items(host, 1, 5) == [0, 1, 2, 3, 4]
    assert host.read() is None
    assert host.wait()[0] == 3
