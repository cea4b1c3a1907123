"""Async functions: many at once on one event loop, and what they share it with."""

from __future__ import annotations

import json
import os
import signal
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest
from host import HAS_PAGE, TIMEOUT_SECONDS, Host
from test_streams import PLENTY, grant, items, stream

from pyproc._protocol import HEADER_LENGTH, Flag, Kind, Status, encode_frame
from pyproc._state_page import RESUMED, TAKEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Spawn

SOURCE = """
import asyncio, contextvars, os, sys, time
from pyproc import *

@expose
async def echo(x):
    return x

@expose
async def nap(seconds: float):
    await asyncio.sleep(seconds)
    return seconds

@expose
async def hold(path: str):
    try:
        open(path + ".began", "w").close()
        while not os.path.exists(path):
            await asyncio.sleep(0.001)
        return "held"
    finally:
        open(path + ".ended", "w").close()

@expose
def plain(x):
    return x

@expose
async def count(n: int):
    for number in range(n):
        yield number

@expose
async def tidy(path: str):
    try:
        for number in range(1_000_000_000):
            yield number
    finally:
        await asyncio.sleep(0)
        open(path, "w").write("tidied")
"""

LOOPS = ["asyncio", *(["uvloop"] if find_spec("uvloop") else [])]


@pytest.fixture(params=LOOPS)
def serve(ready: Spawn, request: pytest.FixtureRequest) -> Callable[..., Host]:
    """Start a worker with each kind of event loop."""

    def start(source: str = "", **options: Any) -> Host:
        return ready(SOURCE + source, event_loop=request.param, **options)

    return start


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.002)


def frame_of(host: Host, call: int, name: str, body: Any) -> bytes:
    """Return a request, to be sent together with others."""
    data = json.dumps(body).encode()
    return encode_frame(Kind.REQUEST, data, index=host.functions[name], call=call)


def number_in(path: Path) -> int:
    """Return the number in a file, 0 before it is there."""
    return int((path.exists() and path.read_text()) or 0)


def test_the_welcome_says_which_functions_are_async(spawn: Spawn) -> None:
    functions = spawn(SOURCE).welcome()["functions"]
    flags = {each["name"]: (each["async"], each["stream"]) for each in functions}
    assert flags["echo"] == (True, False)
    assert flags["count"] == (True, True)
    assert flags["plain"] == (False, False)


def test_a_thousand_calls_are_under_way_at_once(serve: Spawn) -> None:
    # None of them would end if one of them was not begun.
    host = serve(
        """
there = 0
everybody = asyncio.Event()

@expose
async def meet(n: int):
    global there
    there += 1
    if there == 1000:
        everybody.set()
    await everybody.wait()
    return n
"""
    )
    for call in range(1, 1001):
        host.request(call, "meet", call)
    answers = [host.expect(Kind.REPLY) for _ in range(1000)]
    assert {frame[3]: json.loads(frame[6]) for frame in answers} == {
        call: call for call in range(1, 1001)
    }
    if HAS_PAGE:
        assert host.words[TAKEN] == 1000


def test_a_quick_call_overtakes_one_that_waits(serve: Spawn, tmp_path: Path) -> None:
    host = serve()
    path = tmp_path / "go"
    host.request(1, "hold", str(path))
    assert host.call("echo", 5, call=2) == 5
    assert host.call("plain", 6, call=3) == 6
    path.touch()
    assert host.expect(Kind.REPLY)[3] == 1


def test_each_call_has_its_own_context_and_its_tasks_and_threads_share_it(serve: Spawn) -> None:
    host = serve(
        """
mine = contextvars.ContextVar("mine", default="nobody's")

async def child():
    await asyncio.sleep(0)
    return current_context().call_id

@expose
async def look(x: int, context: Context):
    before = mine.get()
    mine.set(x)
    await asyncio.sleep(0.001)
    ids = [current_context().call_id, await asyncio.create_task(child())]
    ids += await asyncio.gather(child(), asyncio.to_thread(lambda: current_context().call_id))
    task = asyncio.current_task()
    return [before, mine.get(), set(ids) == {context.call_id}, task.get_name(), len(ids)]

@expose
def outside(x):
    try:
        return current_context().call_id, mine.get()
    finally:
        mine.set("plain")
"""
    )
    for call in range(1, 51):
        host.request(call, "look" if call % 5 else "outside", call)
    for _ in range(50):
        frame = host.expect(Kind.REPLY)
        call, result = frame[3], json.loads(frame[6])
        if call % 5:
            assert result == ["nobody's", call, True, "look", 4]
        else:
            assert result[0] == call


def test_tasks_that_a_call_makes_look_like_those_of_any_program(serve: Spawn) -> None:
    host = serve(
        """
async def forever():
    await asyncio.sleep(3600)

@expose
async def inspect(x):
    task = asyncio.create_task(forever(), name="mine")
    await asyncio.sleep(0)
    stack = [frame.f_code.co_name for frame in task.get_stack()]
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    never = asyncio.create_task(forever())
    never.cancel()
    await asyncio.wait([never])
    return [task.get_name(), task.get_coro().__name__, stack, task.cancelled(), never.cancelled()]
"""
    )
    assert host.call("inspect") == ["mine", "forever", ["forever"], True, True]
    host.process.send_signal(signal.SIGTERM)
    # No coroutine was left behind without having been awaited.
    assert host.wait()[2] == ""


def test_an_exception_group_is_told_like_any_exception(serve: Spawn) -> None:
    host = serve(
        """
@expose
async def group(x):
    async def fail(error):
        await asyncio.sleep(0)
        raise error
    if sys.version_info < (3, 11):
        raise ValueError("one")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fail(ValueError("one")))
        tasks.create_task(fail(KeyError("two")))

@expose
async def fail(x):
    await asyncio.sleep(0)
    raise ValueError("no")
"""
    )
    host.request(1, "group")
    call, status, failure = host.failed()
    assert (call, status) == (1, Status.EXCEPTION)
    assert "ValueError: one" in failure["traceback"]
    host.request(2, "fail")
    call, status, failure = host.failed()
    assert (call, status, failure["type"]) == (2, Status.EXCEPTION, "ValueError")
    # Nothing in it is ours.
    lines = failure["traceback"].splitlines()
    assert [line.split(", ")[2] for line in lines if "File" in line] == ["in fail"]


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("typed", b'"x"', Status.INVALID_ARGUMENT),
        ("typed", b"{", Status.INVALID_BODY),
        ("thing", b"1", Status.INVALID_RESULT),
        ("long", b"1", Status.TOO_LARGE),
    ],
)
def test_what_is_wrong_around_the_function(
    serve: Spawn, name: str, body: bytes, status: int
) -> None:
    host = serve(
        """
@expose
async def typed(x: int):
    return x

@expose
async def thing(x):
    return object()

@expose
async def long(x):
    return "x" * 5000
""",
        max_frame=4096,
    )
    host.request(1, name, body)
    assert host.failed()[:2] == (1, status)
    assert host.call("echo", 1, call=2) == 1


def test_a_plain_function_may_have_an_event_loop_of_its_own(serve: Spawn) -> None:
    host = serve(
        """
@expose
def own(x):
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise AssertionError("it runs within a loop")
    return asyncio.run(asyncio.sleep(0.001, x))
"""
    )
    host.request(1, "nap", 0.005)
    assert host.call("own", 3, call=2) == 3
    assert host.expect(Kind.REPLY)[3] == 1


def test_calls_begin_in_the_order_in_which_they_came(serve: Spawn) -> None:
    host = serve(
        """
begun = []

@expose
def first(x):
    time.sleep(0.001)
    begun.append(x)
    return list(begun)

@expose
async def second(x):
    begun.append(x)
    return list(begun)
"""
    )
    for call in range(1, 41):
        host.request(call, ("first", "second")[call % 2], call)
    answers: list[list[int]] = [json.loads(host.expect(Kind.REPLY)[6]) for _ in range(40)]
    assert max(answers, key=len) == list(range(1, 41))


def test_async_calls_go_on_between_plain_ones_that_never_stop_coming(serve: Spawn) -> None:
    host = serve(
        """
@expose
def slow(x):
    time.sleep(0.001)
"""
    )
    host.request(1, "nap", 0.01)
    for call in range(2, 1002):
        host.request(call, "slow")
    answered = []
    while 1 not in answered:
        answered.append(host.expect(Kind.REPLY)[3])
    assert len(answered) < 1000
    for _ in range(1001 - len(answered)):
        host.expect(Kind.REPLY)


def test_a_plain_generator_streams_beside_async_calls(serve: Spawn) -> None:
    host = serve(
        """
@expose
def numbers(n: int):
    yield from range(n)
"""
    )
    frame = HEADER_LENGTH + 1
    stream(host, 1, "numbers", 6, credit=2 * frame)
    assert items(host, 1, 2) == [0, 1]
    assert host.call("nap", 0.001, call=2) == 0.001
    stream(host, 3, "count", 3)
    assert items(host, 3, 3) == [0, 1, 2]
    host.expect(Kind.STREAM_END)
    grant(host, 1, PLENTY)
    assert items(host, 1, 4) == [2, 3, 4, 5]
    host.expect(Kind.STREAM_END)
    stream(host, 4, "numbers", 10_000)
    assert items(host, 4, 10_000) == list(range(10_000))
    host.expect(Kind.STREAM_END)


def test_a_cancelled_call_ends_where_it_waits(serve: Spawn, tmp_path: Path) -> None:
    host = serve()
    path = tmp_path / "go"
    host.request(1, "hold", str(path))
    until(lambda: os.path.exists(f"{path}.began"))
    host.send(Kind.CANCEL, call=1)
    assert host.failed()[:2] == (1, Status.CANCELLED)
    assert os.path.exists(f"{path}.ended")
    # It has been answered.
    host.send(Kind.CANCEL, call=1)
    assert host.call("echo", 1, call=2) == 1


def test_a_call_that_is_cancelled_before_its_first_step_is_answered(serve: Spawn) -> None:
    host = serve()
    for call in range(1, 101):
        host.request(call, "nap", 3600)
        host.send(Kind.CANCEL, call=call)
    assert sorted(host.failed()[0] for _ in range(100)) == list(range(1, 101))
    assert host.call("echo", 1, call=101) == 1


def test_a_call_that_swallows_its_cancel_is_answered_with_what_it_does_then(serve: Spawn) -> None:
    host = serve(
        """
@expose
async def stubborn(x):
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        if x == "raise":
            raise ValueError("now of all times")
        return "done all the same"
"""
    )
    host.request(1, "stubborn", "return")
    host.request(2, "stubborn", "raise")
    host.call("echo", call=3)
    host.send(Kind.CANCEL, call=1)
    assert json.loads(host.expect(Kind.REPLY)[6]) == "done all the same"
    host.send(Kind.CANCEL, call=2)
    assert host.failed()[1] == Status.EXCEPTION


def test_a_cancel_that_is_not_the_hosts_is_an_exception_of_the_function(serve: Spawn) -> None:
    host = serve(
        """
@expose
async def cancels_itself(x):
    raise asyncio.CancelledError("mine")

@expose
async def cancels_all(x):
    for task in asyncio.all_tasks():
        task.cancel()
    await asyncio.sleep(3600)
"""
    )
    host.request(1, "cancels_itself")
    call, status, failure = host.failed()
    assert (call, status) == (1, Status.EXCEPTION)
    assert failure["type"] == "asyncio.exceptions.CancelledError"
    # They are begun together, so one of them has not had its first step by then.
    names = {2: "nap", 3: "cancels_all", 4: "nap"}
    frames = [
        encode_frame(Kind.REQUEST, b"3600", index=host.functions[name], call=call)
        for call, name in names.items()
    ]
    host.socket.sendall(b"".join(frames))
    assert {host.failed()[:2] for _ in names} == {(call, Status.EXCEPTION) for call in names}
    assert host.call("echo", 1, call=5) == 1


def test_a_deadline_that_has_passed_is_heeded_before_a_call_begins(serve: Spawn) -> None:
    host = serve()
    host.request(1, "echo", 1, deadline=time.clock_gettime_ns(time.CLOCK_MONOTONIC) - 1)
    assert host.failed()[:2] == (1, Status.DEADLINE)
    host.request(2, "echo", 1, deadline=time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 10**11)
    assert host.expect(Kind.REPLY)[3] == 2


def test_items_of_async_generators_come_in_order_and_then_the_end(serve: Spawn) -> None:
    host = serve()
    for call, count in ((1, 3), (2, 0), (3, 10_000)):
        stream(host, call, "count", count)
        assert items(host, call, count) == list(range(count))
        assert host.expect(Kind.STREAM_END)[3] == call


def test_an_item_does_not_wait_for_the_next_one(serve: Spawn, tmp_path: Path) -> None:
    host = serve(
        """
@expose
async def pause(path: str):
    yield 1
    while not os.path.exists(path):
        time.sleep(0.001)  # The event loop stands still.
    yield 2
"""
    )
    stream(host, 1, "pause", str(tmp_path / "go"))
    assert items(host, 1, 1) == [1]
    (tmp_path / "go").touch()
    assert items(host, 1, 1) == [2]
    host.expect(Kind.STREAM_END)


def test_items_that_came_quickly_do_not_wait_for_one_that_takes_long(
    serve: Spawn, tmp_path: Path
) -> None:
    host = serve(
        """
@expose
async def pause(path: str):
    for number in range(10):
        yield number
    while not os.path.exists(path):
        await asyncio.sleep(0.001)
    yield 10
"""
    )
    stream(host, 1, "pause", str(tmp_path / "go"))
    assert items(host, 1, 10) == list(range(10))
    (tmp_path / "go").touch()
    assert items(host, 1, 1) == [10]
    host.expect(Kind.STREAM_END)


def test_an_async_generator_without_credit_is_set_aside(serve: Spawn) -> None:
    host = serve()
    frame = HEADER_LENGTH + 1
    stream(host, 1, "count", 9, credit=0)
    assert host.call("echo", 5, call=2) == 5
    grant(host, 1, frame + 1)
    assert items(host, 1, 2) == [0, 1]
    assert host.call("plain", 5, call=3) == 5
    grant(host, 1, frame - 1)
    assert host.call("echo", 4, call=4) == 4
    grant(host, 1, 1)
    assert items(host, 1, 1) == [2]
    grant(host, 1, PLENTY)
    assert items(host, 1, 6) == [3, 4, 5, 6, 7, 8]
    host.expect(Kind.STREAM_END)


@pytest.mark.parametrize("late", [Kind.CREDIT, Kind.CANCEL])
def test_what_the_host_says_of_a_stream_may_cross_its_end(serve: Spawn, late: int) -> None:
    # It is read while a plain function waits, and heeded when the generator has ended.
    host = serve(
        """
from collections.abc import Iterator
is_done = False

@expose
async def until_done(x):
    yield 1
    while not is_done:
        await asyncio.sleep(0)

@expose
def total(numbers: Iterator[int]):
    global is_done
    result = sum(numbers)
    time.sleep(0.002)
    is_done = True
    return result
"""
    )
    stream(host, 1, "until_done", None)
    items(host, 1, 1)
    host.request(2, "total", flags=Flag.ITEMS_FOLLOW)
    host.expect(Kind.CREDIT)
    if late == Kind.CREDIT:
        grant(host, 1, 1000)
    else:
        host.send(Kind.CANCEL, call=1)
    host.send(Kind.STREAM_ITEM, b"5", call=2)
    host.send(Kind.STREAM_END, call=2)
    ends = [host.expect_any()[3] for _ in range(2)]
    assert sorted(ends) == [1, 2]
    assert host.call("echo", 1, call=3) == 1


@pytest.mark.parametrize("credit", [100, PLENTY])
def test_an_async_generator_that_is_dropped_midway_runs_its_finally(
    serve: Spawn, tmp_path: Path, credit: int
) -> None:
    host = serve()
    path = tmp_path / "tidied"
    stream(host, 1, "tidy", str(path), credit=credit)
    host.expect(Kind.STREAM_ITEM)
    # One that never waits lets others have their turn all the same.
    host.request(2, "echo", 5)
    while (frame := host.expect_any())[0] == Kind.STREAM_ITEM:
        pass
    assert (frame[0], frame[3]) == (Kind.REPLY, 2)
    host.send(Kind.CANCEL, call=1)
    while (frame := host.expect_any())[0] == Kind.STREAM_ITEM:
        pass
    assert frame[:4] == (Kind.ERROR, 0, Status.CANCELLED, 1)
    assert path.read_text() == "tidied"


def test_an_async_generator_that_swallows_its_cancel_is_closed_when_it_next_yields(
    serve: Spawn, tmp_path: Path
) -> None:
    host = serve(
        """
@expose
async def retry(path: str):
    try:
        while True:
            try:
                await asyncio.sleep(3600 if os.path.exists(path) else 0)
            except asyncio.CancelledError:
                os.unlink(path)
            yield 1
    finally:
        open(path + ".ended", "w").close()
"""
    )
    path = tmp_path / "wait"
    stream(host, 1, "retry", str(path))
    items(host, 1, 1)
    path.touch()
    host.request(2, "nap", 0)
    while host.expect_any()[3] == 1:
        pass
    host.send(Kind.CANCEL, call=1)
    while (frame := host.expect_any())[0] == Kind.STREAM_ITEM:
        pass
    assert frame[:4] == (Kind.ERROR, 0, Status.CANCELLED, 1)
    assert os.path.exists(f"{path}.ended")


def test_what_ends_an_async_generator_early(serve: Spawn, tmp_path: Path) -> None:
    host = serve(
        """
@expose
async def bad(what: str, path: str):
    try:
        yield 1
        if what == "raise":
            raise ValueError("no")
        yield object() if what == "object" else "x" * 5000
        yield "never"
    finally:
        open(path, "a").write(what + " ")
""",
        max_frame=4096,
    )
    path = tmp_path / "ended"
    expected = {
        "raise": Status.EXCEPTION,
        "object": Status.INVALID_RESULT,
        "long": Status.TOO_LARGE,
    }
    for call, (what, status) in enumerate(expected.items(), 1):
        stream(host, call, "bad", {"what": what, "path": str(path)})
        assert items(host, call, 1) == [1]
        assert host.failed()[:2] == (call, status)
    assert host.call("echo", 1, call=4) == 1
    assert path.read_text() == "raise object long "
    host.request(5, "count", 3)
    assert host.failed()[:2] == (5, Status.INVALID_ARGUMENT)
    stream(host, 6, "echo", 3)
    assert host.failed()[:2] == (6, Status.INVALID_ARGUMENT)


def test_a_keyboard_interrupt_in_a_task_ends_its_call_alone(serve: Spawn) -> None:
    host = serve(
        """
async def stop():
    raise KeyboardInterrupt

@expose
async def stop_in_task(x):
    await asyncio.create_task(stop())
"""
    )
    host.request(1, "nap", 0.05)
    host.request(2, "stop_in_task")
    assert host.failed()[:2] == (2, Status.EXCEPTION)
    assert host.expect(Kind.REPLY)[3] == 1


def test_a_generator_that_is_left_behind_does_not_keep_the_worker_from_leaving(
    serve: Spawn,
) -> None:
    host = serve(
        """
left = []

async def numbers():
    try:
        yield 1
    finally:
        await asyncio.sleep(3600)

@expose
async def leave(x):
    left.append(numbers())
    return await anext(left[0])
"""
    )
    assert host.call("leave") == 1
    host.send(Kind.DRAIN)
    host.expect(Kind.GOODBYE)
    assert host.wait()[0] == 0


@pytest.mark.parametrize("name", ["exit", "exit_in_task", "exit_plain"])
def test_sys_exit_ends_the_worker_after_the_replies_before_it(serve: Spawn, name: str) -> None:
    host = serve(
        """
@expose
async def exit(x):
    await asyncio.sleep(0)
    sys.exit(7)

async def leave():
    await asyncio.sleep(0)
    sys.exit(7)

@expose
async def exit_in_task(x):
    await asyncio.create_task(leave())

@expose
def exit_plain(x):
    sys.exit(7)

@expose
async def guarded(x):
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(0.01)
        print("cleaned up")
"""
    )
    host.request(1, "echo", 1)
    host.request(2, "guarded")
    host.request(3, name)
    assert host.expect(Kind.REPLY)[3] == 1
    # Nobody is told that it was cancelled: the host sees how the process ended.
    assert host.read() is None
    assert host.wait() == (7, "cleaned up\n", "")


def test_a_child_that_a_task_has_forked_answers_nothing(serve: Spawn) -> None:
    host = serve(
        """
import warnings
warnings.simplefilter("ignore")

@expose
async def fork(x):
    pid = os.fork()
    if pid:
        assert os.waitpid(pid, 0)[1] == 0
    if x == "wait":
        await asyncio.sleep(0)
    return "parent" if pid else "child"

@expose
async def fork_in_task(x):
    return await asyncio.create_task(fork(x))
"""
    )
    assert host.call("fork") == "parent"
    assert host.call("fork_in_task", call=2) == "parent"
    assert host.call("fork", "wait", call=3) == "parent"
    assert host.call("fork_in_task", "wait", call=4) == "parent"
    assert host.call("echo", 1, call=5) == 1


def test_sigterm_lets_the_calls_that_wait_finish(serve: Spawn, tmp_path: Path) -> None:
    host = serve(
        """
@on_start
async def begin():
    await asyncio.sleep(0)
    print("begun on", type(asyncio.get_running_loop()).__module__.split(".")[0])

@on_stop
async def end():
    await asyncio.sleep(0)
    print("ended")
"""
    )
    path = tmp_path / "go"
    host.request(1, "hold", str(path))
    until(lambda: os.path.exists(f"{path}.began"))
    host.process.send_signal(signal.SIGTERM)
    host.expect(Kind.DRAIN)
    host.request(2, "echo")
    assert host.failed()[:2] == (2, Status.DRAINING)
    path.touch()
    assert host.expect(Kind.REPLY)[3] == 1
    host.expect(Kind.GOODBYE)
    assert host.read() is None
    code, out, err = host.wait()
    assert (code, err) == (0, "")
    assert out in {"begun on asyncio\nended\n", "begun on uvloop\nended\n"}


def test_a_drain_of_the_host_is_complete_when_all_calls_are_answered(serve: Spawn) -> None:
    host = serve()
    for call in (1, 2, 3):
        host.request(call, "nap", 0.001 * call)
    host.send(Kind.DRAIN)
    assert [host.expect(Kind.REPLY)[3] for _ in range(3)] == [1, 2, 3]
    host.expect(Kind.GOODBYE)
    assert host.wait() == (0, "", "")


def test_calls_of_a_host_that_is_gone_are_cancelled(serve: Spawn, tmp_path: Path) -> None:
    host = serve(
        """
@on_start
async def tend():
    global tending
    tending = asyncio.create_task(asyncio.sleep(3600))
"""
    )
    paths = [tmp_path / f"{number}" for number in range(20)]
    for call, path in enumerate(paths, 1):
        host.request(call, "hold", str(path))
    for path in paths:
        until(lambda path=path: os.path.exists(f"{path}.began"))  # type: ignore[misc]
    host.socket.close()
    assert host.wait() == (0, "", "")
    assert all(os.path.exists(f"{path}.ended") for path in paths)


def test_a_host_that_breaks_the_protocol_is_left(serve: Spawn) -> None:
    host = serve()
    host.request(1, "nap", 3600)
    host.send(Kind.PONG)
    code, _, err = host.wait()
    assert code == 1
    assert "the host broke the protocol: a host does not send PONG" in err


def test_a_host_that_does_not_read_holds_up_nothing_but_its_answers(
    serve: Spawn, tmp_path: Path
) -> None:
    host = serve(
        """
import logging

@expose
async def large(x):
    logging.getLogger("test").info("large %s", "y" * 1000)
    return "x" * 100_000

@on_start
async def tick():
    global ticking
    async def go_on():
        for number in range(10**9):
            open(PATH, "w").write(str(number))
            await asyncio.sleep(0.001)
    ticking = asyncio.create_task(go_on())
""".replace("PATH", repr(str(tmp_path / "ticks")))
    )
    # The worker stops reading as well, so there are no more than the socket holds.
    for call in range(1, 101):
        host.request(call, "large")
    ticks = tmp_path / "ticks"
    until(lambda: number_in(ticks) > 0)
    before = number_in(ticks)
    until(lambda: number_in(ticks) > before + 100)
    assert sorted(host.expect(Kind.REPLY)[3] for _ in range(100)) == list(range(1, 101))
    assert host.call("echo", 1, call=101) == 1


def test_records_carry_the_call_that_logged_them(serve: Spawn) -> None:
    host = serve(
        """
import logging

@expose
async def log(x):
    await asyncio.sleep(0.001)
    logging.getLogger("test").info("here")
    await asyncio.to_thread(logging.getLogger("test").info, "there")
"""
    )
    for call in range(1, 11):
        host.request(call, "log")
    frames: list[Any] = []
    while len([each for each in frames if each[0] == Kind.REPLY]) < 10:
        frame = host.read()
        assert frame is not None
        frames.append(frame)
    logged = sorted(frame[3] for frame in frames if frame[0] == Kind.LOG)
    assert logged == sorted([*range(1, 11), *range(1, 11)])


@pytest.mark.skipif(not HAS_PAGE, reason="there is no page here")
@pytest.mark.parametrize("name", ["block", "block_in_task", "block_stream"])
def test_a_call_that_blocks_the_event_loop_is_named_and_can_be_interrupted(
    serve: Spawn, tmp_path: Path, name: str
) -> None:
    host = serve(
        """
def spin(path):
    open(path, "w").close()
    while True:
        pass

@expose
async def block(path):
    await asyncio.sleep(0)
    spin(path)

@expose
async def block_in_task(path):
    async def child():
        await asyncio.sleep(0)
        spin(path)
    await asyncio.gather(child())

@expose
async def block_stream(path):
    yield 1
    spin(path)
"""
    )
    waiting = tmp_path / "go"
    host.request(1, "hold", str(waiting))
    if name == "block_stream":
        stream(host, 2, name, str(tmp_path / "blocks"))
        items(host, 2, 1)
    else:
        host.request(2, name, str(tmp_path / "blocks"))
    until((tmp_path / "blocks").exists)
    assert host.words[RESUMED] == 2
    # The other one runs too, but not now.
    host.interrupt(1)
    host.interrupt_until_answered(2)
    call, status, failure = host.failed()
    assert (call, status) == (2, Status.INTERRUPTED)
    assert "in spin" in failure["traceback"]
    assert host.call("echo", 1, call=3) == 1
    assert host.words[RESUMED] == 0
    host.interrupt(1)
    assert host.call("echo", 1, call=4) == 1
    waiting.touch()
    assert host.expect(Kind.REPLY)[3] == 1


@pytest.mark.skipif(not HAS_PAGE, reason="there is no page here")
def test_a_task_that_was_cancelled_cleans_up_in_peace(serve: Spawn, tmp_path: Path) -> None:
    host = serve(
        """
@expose
async def clean_up(path):
    async def child():
        try:
            await asyncio.sleep(3600)
        finally:
            busy("child")
    def busy(whose):
        open(path + whose, "w").close()
        until = time.monotonic() + 0.05
        while time.monotonic() < until:
            pass
    try:
        await asyncio.create_task(child())
    finally:
        busy("call")
"""
    )
    path = str(tmp_path / "busy")
    host.request(1, "clean_up", path)
    host.call("echo", call=2)
    host.send(Kind.CANCEL, call=1)
    until(lambda: os.path.exists(path + "child"))
    host.interrupt_until_answered(1)
    assert host.failed()[:2] == (1, Status.CANCELLED)


def test_an_event_loop_that_is_not_there_is_asked_for(spawn: Spawn) -> None:
    # As where uvloop is not installed.
    source = "import sys\nsys.modules['uvloop'] = None\n" + SOURCE
    status, failure = spawn(source, event_loop="uvloop").refused()
    assert status == Status.START_FAILED
    assert "pip install uvloop" in failure["message"]
    status, failure = spawn(SOURCE, event_loop="trio").refused()
    assert status == Status.START_FAILED
    assert "`trio`" in failure["message"]


@pytest.mark.skipif(not HAS_PAGE, reason="there is no page here")
def test_a_stream_that_is_interrupted_anywhere_keeps_no_other_call_waiting(serve: Spawn) -> None:
    host = serve("@expose\nasync def ones(x):\n    while True:\n        yield 1\n")
    host.request(1, "nap", 3600)
    for call in range(2, 42):
        stream(host, call, "ones", None)
        items(host, call, 1)
        answered = False
        while not answered:
            host.interrupt(call)
            # Some come before the next signal, or else its end does.
            for _ in range(64):
                frame = host.expect_any()
                answered = frame[0] == Kind.ERROR
                if answered:
                    break
        assert frame[:4] == (Kind.ERROR, 0, Status.INTERRUPTED, call)
    assert host.call("echo", 1, call=42) == 1


def test_a_worker_without_async_functions_has_no_event_loop(ready: Spawn) -> None:
    host = ready(
        """
import sys
from pyproc import expose

@expose
def loaded(x):
    return "asyncio" in sys.modules
"""
    )
    assert host.call("loaded") is False


LINGER = """
@expose
async def linger(directory: str):
    open(directory + "/began", "w").close()
    try:
        await asyncio.Event().wait()
    finally:
        open(directory + "/cleans", "w").close()
        # It is left after half a second.
        while not os.path.exists(directory + "/marked"):
            await asyncio.sleep(0.001)

@expose
async def mark(directory: str):
    open(directory + "/marked", "w").close()
"""


@pytest.mark.skipif(not HAS_PAGE, reason="no memfd_create")
def test_no_call_is_begun_while_others_clean_up_and_a_thread_ends(
    serve: Spawn, tmp_path: Path
) -> None:
    host = serve(
        LINGER
        + """
@expose
def wait(directory: str):
    open(directory + "/waits", "w").close()
    while not os.path.exists(directory + "/cleans"):
        time.sleep(0.001)

@expose(batch=2)
def leave(xs):
    sys.exit(3)
""",
        threads=2,
    )
    host.request(1, "linger", str(tmp_path))
    until((tmp_path / "began").exists)
    host.request(2, "wait", str(tmp_path))
    until((tmp_path / "waits").exists)
    # They come together, so that the last one is there when the loop is over.
    host.socket.sendall(frame_of(host, 3, "leave", 0) + frame_of(host, 4, "mark", str(tmp_path)))
    while host.read() is not None:
        pass
    assert host.words[TAKEN] == 3
    assert host.wait()[0] == 3
    assert not (tmp_path / "marked").exists()


@pytest.mark.skipif(not HAS_PAGE, reason="no memfd_create")
def test_nothing_is_read_while_calls_clean_up_and_the_host_reads(
    serve: Spawn, tmp_path: Path
) -> None:
    host = serve(
        LINGER
        + """
@expose
async def large(x):
    return "x" * 800_000

@expose
async def leave(x):
    sys.exit(3)
"""
    )
    host.request(1, "linger", str(tmp_path))
    until((tmp_path / "began").exists)
    # They come together, so that the loop is over before it is known that there is room.
    host.socket.sendall(frame_of(host, 2, "large", 0) + frame_of(host, 3, "leave", 0))
    until((tmp_path / "cleans").exists)
    host.request(4, "mark", str(tmp_path))
    while host.read() is not None:
        pass
    assert host.words[TAKEN] == 3
    assert host.wait()[0] == 3
    assert not (tmp_path / "marked").exists()
