"""Arguments that are streams: items from the host, credit for them, and how both end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from host import Host
from test_worker import wait_for

from pyproc import InvalidArgument, SchemaError, testing
from pyproc._protocol import HEADER_LENGTH, Flag, Kind, Status, encode_frame
from pyproc._registry import Function

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Spawn

SOURCE = """
from __future__ import annotations
from collections.abc import Iterator
from pyproc import *
import sys, time

@expose
def total(items: Iterator[int]):
    return sum(items)

@expose
def scaled(by: int, items: Iterator[int], *, context: Context):
    return [by * item for item in items]

@expose
def first(items: Iterator[int]):
    return next(items)

@expose
def double(items: Iterator[int]):
    for item in items:
        yield 2 * item

@expose
def echo(x):
    return x
"""
WINDOW = 256 * 1024
PLENTY = 1 << 30


def begin(host: Host, call: int, name: str, body: Any = None, flags: int = 0) -> None:
    """Call a function with items that are to follow."""
    host.request(call, name, body, flags=flags | Flag.ITEMS_FOLLOW)


def granted(host: Host, call: int = 1, place: int = 0) -> int:
    """Read how much more the host may send."""
    frame = host.expect(Kind.CREDIT)
    assert (frame[2], frame[3]) == (place, call)
    return int.from_bytes(frame[6], "big")


def item(host: Host, value: Any, call: int = 1, place: int = 0) -> None:
    host.send(Kind.STREAM_ITEM, json.dumps(value).encode(), index=place, call=call)


def end(host: Host, call: int = 1, place: int = 0) -> None:
    host.send(Kind.STREAM_END, index=place, call=call)


def reply(host: Host, call: int = 1) -> Any:
    frame = host.expect(Kind.REPLY)
    assert frame[3] == call
    return json.loads(frame[6])


def test_the_welcome_says_which_parameter_is_a_stream(spawn: Spawn) -> None:
    functions = {each["name"]: each for each in spawn(SOURCE).welcome()["functions"]}
    assert functions["total"]["arguments"] == "none"
    assert functions["scaled"]["arguments"] == "body"
    assert functions["scaled"]["parameters"] == [
        {"name": "by", "type": "int", "required": True, "stream": False},
        {"name": "items", "type": "Iterator[int]", "required": True, "stream": True},
    ]


def test_items_come_in_order_and_then_the_end(ready: Spawn) -> None:
    host = ready(SOURCE)
    begin(host, 1, "scaled", 3)
    assert granted(host, 1, place=1) == WINDOW
    for value in range(5):
        item(host, value, 1, place=1)
    end(host, 1, place=1)
    assert reply(host) == [0, 3, 6, 9, 12]
    begin(host, 2, "total")
    granted(host, 2)
    end(host, 2)
    assert reply(host, 2) == 0


def test_nothing_is_granted_before_the_function_asks(ready: Spawn, tmp_path: Path) -> None:
    go = tmp_path / "go"
    host = ready(
        SOURCE
        + f"""
@expose
def later(items: Iterator[int]):
    while not __import__("os").path.exists({str(go)!r}):
        time.sleep(0.001)
    return next(items)

@expose
def never(items: Iterator[int]):
    return 7
"""
    )
    begin(host, 1, "later")
    begin(host, 2, "total")
    go.touch()
    granted(host, 1)
    item(host, 5, 1)
    assert reply(host, 1) == 5
    granted(host, 2)
    end(host, 2)
    assert reply(host, 2) == 0
    begin(host, 3, "never")
    assert reply(host, 3) == 7


def test_more_is_granted_as_items_are_read(ready: Spawn, tmp_path: Path) -> None:
    host = ready(
        SOURCE
        + """
@expose
def lengths(items: Iterator[str]):
    return sum(map(len, items))
"""
    )
    begin(host, 1, "lengths")
    credit, body = granted(host), "x" * 1000
    for _ in range(2000):
        while credit <= 0:
            credit += granted(host)
        item(host, body)
        credit -= HEADER_LENGTH + len(body) + 2
        assert credit <= WINDOW
    end(host)
    while (frame := host.expect_any())[0] == Kind.CREDIT:
        assert int.from_bytes(frame[6], "big") >= WINDOW // 2
    assert (frame[0], json.loads(frame[6])) == (Kind.REPLY, 2_000_000)


def test_a_function_may_return_early_and_what_crosses_its_answer_is_ignored(ready: Spawn) -> None:
    host = ready(SOURCE)
    begin(host, 1, "first")
    granted(host)
    for value in (4, 5, 6):
        item(host, value)
    assert reply(host) == 4
    item(host, 7)
    end(host)
    assert host.call("echo", 1, call=2) == 1


def test_calls_that_come_meanwhile_are_queued_and_cancelled_there(ready: Spawn) -> None:
    host = ready(SOURCE)
    begin(host, 1, "total")
    granted(host)
    for call in (2, 3, 4):
        host.request(call, "echo", call)
    host.send(Kind.PING, b"12345678")
    item(host, 1)
    host.expect(Kind.PONG)
    host.send(Kind.CANCEL, call=3)
    end(host)
    answers: dict[int, Any] = {}
    while len(answers) < 4:
        kind, _, status, call, _, _, body = host.expect_any()
        answers[call] = json.loads(body) if kind == Kind.REPLY else status
    assert answers == {1: 1, 2: 2, 3: Status.CANCELLED, 4: 4}


def test_an_item_of_the_wrong_type_raises_where_it_is_read(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + """
@expose
def skip(items: Iterator[int]):
    good = []
    while True:
        try:
            good.append(next(items))
        except InvalidArgument as error:
            good.append(error.path)
        except StopIteration:
            return good
"""
    )
    begin(host, 1, "total")
    granted(host)
    item(host, "one")
    call, status, error = host.failed()
    assert (call, status) == (1, Status.EXCEPTION)
    assert error["type"].endswith("InvalidArgument")
    assert "$.items: expected int" in error["message"]
    begin(host, 2, "skip")
    granted(host, 2)
    for value in (1, "two", 3):
        item(host, value, 2)
    end(host, 2)
    assert reply(host, 2) == [1, "$.items", 3]


def test_a_generator_reads_while_it_yields(ready: Spawn) -> None:
    host = ready(SOURCE)
    begin(host, 1, "double", flags=Flag.WANTS_STREAM)
    host.send(Kind.CREDIT, PLENTY.to_bytes(4, "big"), call=1)
    granted(host)
    for value in range(20):
        # Each answer comes before the next item is there.
        item(host, value)
        assert json.loads(host.expect(Kind.STREAM_ITEM)[6]) == 2 * value
    end(host)
    host.expect(Kind.STREAM_END)
    assert host.call("echo", 1, call=2) == 1


def test_a_function_that_waits_for_an_item_is_interrupted(ready: Spawn) -> None:
    host = ready(SOURCE)
    for call, name in ((1, "total"), (2, "first")):
        begin(host, call, name)
        granted(host, call)
        host.interrupt_until_answered(call)
        assert host.failed()[:2] == (call, Status.INTERRUPTED)
    assert host.call("echo", 1, call=3) == 1


@pytest.mark.parametrize("name", ["total", "double"])
def test_a_function_that_waits_for_an_item_ends_when_it_is_cancelled(
    ready: Spawn, name: str
) -> None:
    host = ready(SOURCE)
    begin(host, 1, name, flags=Flag.WANTS_STREAM if name == "double" else 0)
    if name == "double":
        host.send(Kind.CREDIT, PLENTY.to_bytes(4, "big"), call=1)
    granted(host)
    item(host, 1)
    if name == "double":
        host.expect(Kind.STREAM_ITEM)
    host.send(Kind.CANCEL, call=1)
    call, status, _ = host.failed()
    # A generator may be between two items.
    assert call == 1
    assert status in (Status.INTERRUPTED, Status.CANCELLED)
    assert host.call("echo", 1, call=2) == 1


def test_a_generator_that_yields_when_it_was_cancelled_in_a_wait_is_closed(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + """
@expose
def summary(items: Iterator[int]):
    try:
        for item in items:
            pass
    except Interrupted:
        while True:
            yield "so far"
"""
    )
    begin(host, 1, "summary", flags=Flag.WANTS_STREAM)
    host.send(Kind.CREDIT, (10_000).to_bytes(4, "big"), call=1)
    granted(host)
    host.send(Kind.CANCEL, call=1)
    while (frame := host.expect_any())[0] == Kind.STREAM_ITEM:
        pass
    assert (frame[0], frame[2], frame[3]) == (Kind.ERROR, Status.CANCELLED, 1)
    assert host.call("echo", 1, call=2) == 1


def test_the_end_of_the_host_reaches_a_function_that_waits(ready: Spawn, tmp_path: Path) -> None:
    log = tmp_path / "log"
    host = ready(
        SOURCE
        + f"""
@expose
def tidy(items: Iterator[int]):
    try:
        for _ in items:
            pass
    except ConnectionError as error:
        open({str(log)!r}, "w").write(type(error).__name__)
        raise
"""
    )
    begin(host, 1, "tidy")
    granted(host)
    host.socket.close()
    assert host.wait()[0] == 0
    assert log.read_text() == "ConnectionAbortedError"


@pytest.mark.parametrize(
    ("kind", "place", "what"),
    [
        (Kind.STREAM_ITEM, 1, "another parameter"),
        (Kind.STREAM_ITEM, 0, "after the end"),
        (Kind.STREAM_END, 0, "after the end"),
        (Kind.STREAM_ITEM, 0, "without credit"),
    ],
)
def test_items_that_are_not_allowed_condemn_the_host(
    ready: Spawn, kind: int, place: int, what: str
) -> None:
    host = ready(SOURCE)
    if what != "without credit":
        begin(host, 1, "total")
        granted(host)
    # What follows is read at once, before a function has its turn.
    os.kill(host.process.pid, signal.SIGSTOP)
    if what == "without credit":
        begin(host, 1, "total")
    if what == "after the end":
        end(host)
    host.send(kind, index=place, call=1)
    os.kill(host.process.pid, signal.SIGCONT)
    code, _, err = host.wait()
    assert code != 0
    assert "the host broke the protocol" in err


def test_the_thread_of_the_function_reads_its_items_and_only_while_it_runs(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + """
import threading
kept = []

@expose
def elsewhere(items: Iterator[int]):
    told = []
    def read():
        try:
            next(items)
        except RuntimeError as error:
            told.append(str(error))
    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    kept.append(items)
    return told

@expose
def afterwards(x):
    try:
        return next(kept[0])
    except RuntimeError as error:
        return str(error)
"""
    )
    begin(host, 1, "elsewhere")
    assert "only the thread that runs the function" in reply(host)[0]
    assert "has ended" in host.call("afterwards", None, call=2)


@pytest.mark.parametrize("threads", [1, 2])
def test_another_thread_takes_no_items_that_lie_there_either(ready: Spawn, threads: int) -> None:
    host = ready(
        SOURCE
        + """
import threading

@expose
def elsewhere(items: Iterator[int]):
    read, told = [next(items)], []
    def take():
        try:
            told.append(next(items))
        except RuntimeError as error:
            told.append(str(error))
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return [*told, *read, *items]
""",
        threads=threads,
    )
    begin(host, 1, "elsewhere")
    granted(host)
    # They come together, so that the second one lies there when the first one is read.
    frames = [encode_frame(Kind.STREAM_ITEM, body, call=1) for body in (b"1", b"2")]
    host.socket.sendall(b"".join(frames))
    end(host)
    told, *read = reply(host)
    assert "only the thread that runs the function" in told
    assert read == [1, 2]


def test_a_stream_is_given_exactly_where_one_is_taken(ready: Spawn) -> None:
    host = ready(SOURCE)
    host.request(1, "total", {})
    call, status, error = host.failed()
    assert (call, status) == (1, Status.INVALID_ARGUMENT)
    assert "`items` is a stream" in error["message"]
    begin(host, 2, "echo", 1)
    call, status, error = host.failed()
    assert (call, status) == (2, Status.INVALID_ARGUMENT)
    assert "takes no stream" in error["message"]
    assert host.call("echo", 1, call=3) == 1


def test_a_million_bytes_in_one_item(ready: Spawn) -> None:
    host = ready(
        SOURCE + "@expose\ndef lengths(items: Iterator[str]):\n    return [len(x) for x in items]\n"
    )
    begin(host, 1, "lengths")
    granted(host)
    for size in (10, 1_000_000):
        item(host, "x" * size)
    assert granted(host) > 1_000_000
    end(host)
    assert reply(host) == [10, 1_000_000]


def test_signatures_that_cannot_be_served_are_refused_with_their_place() -> None:
    def two(a: Iterator[int], b: Iterator[int]) -> None: ...

    def by_position(a: Iterator[int], /) -> None: ...

    def strange(a: Iterator[os.PathLike[str]]) -> None: ...

    for function, culprits in (
        (two, ["`b`", "`a`", "already"]),
        (by_position, ["`a`", "/"]),
        (strange, ["`a`"]),
    ):
        with pytest.raises(SchemaError) as caught:
            Function(function, None, "auto").bind()
        assert all(each in str(caught.value) for each in [function.__name__, *culprits])


def test_functions_with_streams_are_tested_without_a_worker() -> None:
    def scaled(by: int, items: Iterator[int]) -> list[int]:
        return [by * item for item in items]

    assert testing.call(scaled, 2, items=[1, 2]) == [2, 4]
    with pytest.raises(InvalidArgument, match="stream"):
        testing.call(scaled, 2)
    with pytest.raises(InvalidArgument, match=r"\$\.items"):
        testing.call(scaled, 2, items=["one"])


ASYNC = """
import asyncio
from collections.abc import AsyncIterator

@expose
async def atotal(items: AsyncIterator[int]):
    return sum([item async for item in items])

@expose
async def adouble(items: AsyncIterator[int]):
    async for item in items:
        yield 2 * item

@expose
async def afirst(by: int, items: AsyncIterator[int]):
    return by * await anext(items)

@expose
async def twice(items: AsyncIterator[int]):
    try:
        async with asyncio.timeout(30) if hasattr(asyncio, "timeout") else asyncio.Lock():
            return await asyncio.gather(anext(items), anext(items))
    except RuntimeError as error:
        return str(error)
"""


def test_async_functions_take_items_while_others_run(ready: Spawn) -> None:
    host = ready(SOURCE + ASYNC)
    for call in (1, 2, 3):
        begin(host, call, "atotal")
    credits = {host.expect(Kind.CREDIT)[3] for _ in range(3)}
    assert credits == {1, 2, 3}
    host.request(4, "echo", "between")
    assert reply(host, 4) == "between"
    for value in range(10):
        for call in (1, 2, 3):
            item(host, call * value, call)
    for call in (3, 1, 2):
        end(host, call)
        assert reply(host, call) == call * 45
    begin(host, 5, "afirst", 3)
    assert granted(host, 5, place=1) == WINDOW
    item(host, 5, 5, place=1)
    assert reply(host, 5) == 15


def test_items_go_both_ways_through_an_async_generator(ready: Spawn) -> None:
    host = ready(SOURCE + ASYNC)
    for call in (1, 2):
        begin(host, call, "adouble", flags=Flag.WANTS_STREAM)
        host.send(Kind.CREDIT, PLENTY.to_bytes(4, "big"), call=call)
        granted(host, call)
    for value in range(20):
        for call in (1, 2):
            item(host, value, call)
            frame = host.expect(Kind.STREAM_ITEM)
            assert (frame[3], json.loads(frame[6])) == (call, 2 * value)
    end(host, 2)
    assert host.expect(Kind.STREAM_END)[3] == 2
    end(host, 1)
    assert host.expect(Kind.STREAM_END)[3] == 1


def test_an_async_function_that_awaits_an_item_ends_when_it_is_cancelled(ready: Spawn) -> None:
    host = ready(SOURCE + ASYNC)
    for call, name in ((1, "atotal"), (2, "adouble")):
        flags = Flag.WANTS_STREAM if name == "adouble" else 0
        begin(host, call, name, flags=flags)
        if flags:
            host.send(Kind.CREDIT, PLENTY.to_bytes(4, "big"), call=call)
        granted(host, call)
        host.send(Kind.CANCEL, call=call)
        assert host.failed()[:2] == (call, Status.CANCELLED)
    assert host.call("echo", 1, call=3) == 1


def test_a_plain_function_beside_async_ones_takes_items_too(ready: Spawn) -> None:
    host = ready(SOURCE + ASYNC)
    begin(host, 1, "atotal")
    granted(host, 1)
    begin(host, 2, "total")
    granted(host, 2)
    # Those of the other call come while this one has the thread.
    for call, value in ((1, 1), (2, 2), (1, 3)):
        item(host, value, call)
    end(host, 1)
    end(host, 2)
    answers = {}
    for _ in range(2):
        frame = host.expect(Kind.REPLY)
        answers[frame[3]] = json.loads(frame[6])
    assert answers == {1: 4, 2: 2}
    begin(host, 3, "first")
    granted(host, 3)
    host.interrupt_until_answered(3)
    assert host.failed()[:2] == (3, Status.INTERRUPTED)


def test_two_tasks_cannot_await_the_next_item_at_once(ready: Spawn) -> None:
    host = ready(SOURCE + ASYNC)
    begin(host, 1, "twice")
    granted(host)
    assert "another task" in reply(host)


def test_async_and_plain_streams_are_not_taken_for_each_other() -> None:
    def plain(items: AsyncIterator[int]) -> None: ...

    async def waits(items: Iterator[int]) -> None: ...

    for function, wanted in ((plain, "plain functions take is an `Iterator"), (waits, "an `Async")):
        with pytest.raises(SchemaError, match=wanted):
            Function(function, None, "auto").bind()


@pytest.mark.parametrize("name", ["total", "atotal"])
def test_the_host_goes_while_a_worker_with_an_event_loop_waits(ready: Spawn, name: str) -> None:
    host = ready(SOURCE + ASYNC)
    begin(host, 1, name)
    granted(host)
    host.socket.close()
    assert host.wait()[0] == 0


def test_a_host_that_breaks_the_protocol_is_left_by_a_plain_function_beside_async_ones(
    ready: Spawn,
) -> None:
    host = ready(SOURCE + ASYNC)
    begin(host, 1, "total")
    granted(host)
    host.send(Kind.STREAM_ITEM, index=9, call=1)
    code, _, err = host.wait()
    assert code != 0
    assert "the host broke the protocol" in err


def test_functions_in_threads_take_items_at_the_same_time(ready: Spawn) -> None:
    host = ready(SOURCE, threads=3)
    for call in (1, 2):
        begin(host, call, "total")
    assert {host.expect(Kind.CREDIT)[3] for _ in range(2)} == {1, 2}
    assert host.call("echo", "between", call=3) == "between"
    for value in range(10):
        for call in (1, 2):
            item(host, call * value, call)
    for call in (2, 1):
        end(host, call)
        assert reply(host, call) == call * 45
    begin(host, 4, "double", flags=Flag.WANTS_STREAM)
    host.send(Kind.CREDIT, PLENTY.to_bytes(4, "big"), call=4)
    granted(host, 4)
    item(host, 4, 4)
    assert json.loads(host.expect(Kind.STREAM_ITEM)[6]) == 8
    end(host, 4)
    host.expect(Kind.STREAM_END)


def test_a_function_in_a_thread_gets_credit_as_it_reads_and_ends_when_it_is_cancelled(
    ready: Spawn,
) -> None:
    source = "@expose\ndef lengths(items: Iterator[str]):\n    return sum(map(len, items))\n"
    host = ready(SOURCE + source, threads=2)
    begin(host, 1, "lengths")
    credit, body = granted(host), "x" * 1000
    for _ in range(1000):
        while credit <= 0:
            credit += granted(host)
        item(host, body)
        credit -= HEADER_LENGTH + len(body) + 2
    end(host)
    while (frame := host.expect_any())[0] == Kind.CREDIT:
        pass
    assert (frame[0], json.loads(frame[6])) == (Kind.REPLY, 1_000_000)
    begin(host, 2, "total")
    granted(host, 2)
    host.send(Kind.CANCEL, call=2)
    assert host.failed()[:2] == (2, Status.CANCELLED)
    begin(host, 3, "first")
    granted(host, 3)
    host.socket.close()
    assert host.wait()[0] == 0


def test_a_function_in_a_thread_may_be_cancelled_before_it_has_its_items(
    ready: Spawn, tmp_path: Path
) -> None:
    converting, go = tmp_path / "converting", tmp_path / "go"
    host = ready(
        SOURCE
        + f"""
import dataclasses, pathlib

@dataclasses.dataclass
class Slow:
    factor: int
    def __post_init__(self):
        pathlib.Path({str(converting)!r}).write_text("yes")
        while not pathlib.Path({str(go)!r}).exists():
            time.sleep(0.001)

@expose
def multiply(by: Slow, items: Iterator[int]):
    return [by.factor * item for item in items]
""",
        threads=2,
    )
    begin(host, 1, "multiply", {"factor": 2})
    wait_for(converting)
    host.send(Kind.CANCEL, call=1)
    # It is answered by the other thread, and comes behind the other frame.
    assert host.call("echo", 1, call=2) == 1
    go.touch()
    while (frame := host.expect_any())[0] == Kind.CREDIT:
        pass
    assert (frame[0], frame[2], frame[3]) == (Kind.ERROR, Status.CANCELLED, 1)


def test_a_call_that_sends_metadata_back_leaves_no_items_behind(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + """
kept = []

@expose
def tell(items: Iterator[int]):
    kept.append(items)
    current_context().set_metadata("k", "v")

@expose
def read(x):
    try:
        next(kept[0])
    except RuntimeError as error:
        return str(error)
"""
    )
    begin(host, 1, "tell")
    assert reply(host) is None
    assert "has ended" in host.call("read", 1, call=2)
