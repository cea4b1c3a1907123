"""Functions that take many calls at once."""

from __future__ import annotations

import json
import select
import signal
import time
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from host import HAS_PAGE, Host
from test_worker import wait_for

from pyproc import (
    Context,
    InvalidResult,
    ItemError,
    RegistrationError,
    SchemaError,
    expose,
    testing,
)
from pyproc._protocol import Flag, Kind, Status
from pyproc._registry import REGISTRY
from pyproc._state_page import RESUMED, TAKEN

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from conftest import Spawn

SOURCE = """
from pyproc import *
import os, sys, time

batches = []

@expose(batch=4)
def double(numbers: list[int]) -> list[int]:
    batches.append(numbers)
    return [2 * number for number in numbers]

@expose
def seen():
    return batches

@expose
def echo(x):
    return x
"""

HOLD = """
@expose
def hold(path):
    open(path + "/held", "w").write("yes")
    while not os.path.exists(path + "/go"):
        time.sleep(0.001)
"""


class Held:
    """A worker that is busy until somebody says otherwise."""

    def __init__(self, host: Host, directory: Path, call: int) -> None:
        self._go = directory / "go"
        host.request(call, "hold", str(directory))
        wait_for(directory / "held")

    def release(self) -> None:
        self._go.touch()


def answers(host: Host, count: int) -> dict[int, Any]:
    """Read so many answers: results by call, and for errors the status and the message."""
    found: dict[int, Any] = {}
    for _ in range(count):
        kind, _, index, call, _, _, body = host.expect_any()
        assert call not in found
        text = json.loads(body)
        found[call] = text if kind == Kind.REPLY else (index, text["message"])
    return found


def is_silent(host: Host) -> bool:
    """Whether nothing comes for a moment."""
    return not select.select([host.socket], [], [], 0.05)[0]


def test_the_welcome_describes_one_call(spawn: Spawn) -> None:
    functions = {each["name"]: each for each in spawn(SOURCE).welcome()["functions"]}
    assert functions["double"] == {
        "name": "double",
        "arguments": "body",
        "parameters": [{"name": "numbers", "type": "int", "required": True, "stream": False}],
        "returns": "int",
        "async": False,
        "stream": False,
        "batch": 4,
    }
    assert functions["echo"]["batch"] == functions["health"]["batch"] == 0


def test_a_call_that_finds_the_worker_idle_is_run_alone(ready: Spawn) -> None:
    host = ready(SOURCE)
    for call in range(1, 4):
        assert host.call("double", call, call=call) == 2 * call
    assert host.call("seen", {}, call=4) == [[1], [2], [3]]


def test_calls_that_wait_while_the_worker_is_busy_are_run_together(
    ready: Spawn, tmp_path: Path
) -> None:
    host = ready(SOURCE + HOLD)
    held = Held(host, tmp_path, call=1)
    for call in range(2, 8):
        host.request(call, "double", call)
    held.release()
    assert answers(host, 7) == {1: None} | {call: 2 * call for call in range(2, 8)}
    assert host.call("seen", {}, call=8) == [[2, 3, 4, 5], [6, 7]]


def test_a_batch_overtakes_calls_of_other_functions(ready: Spawn, tmp_path: Path) -> None:
    host = ready(SOURCE + HOLD)
    held = Held(host, tmp_path, call=1)
    for call, name in enumerate(["double", "seen", "double", "seen", "double", "double"], 2):
        host.request(call, name, call if name == "double" else {})
    held.release()
    together = [[2, 4, 6, 7]]
    expected = {1: None, 2: 4, 4: 8, 6: 12, 7: 14, 3: together, 5: together}
    found = answers(host, 7)
    assert found == expected
    assert list(found) == list(expected)


@pytest.mark.skipif(not HAS_PAGE, reason="no memfd_create")
def test_the_page_names_the_last_call_of_a_batch_and_then_those_that_it_overtook(
    ready: Spawn, tmp_path: Path
) -> None:
    source = (
        SOURCE
        + HOLD
        + f"""
def words():
    import mmap, pyproc._state_page
    return list(pages[0].words[:5])

import pyproc._state_page, gc
pages = [each for each in gc.get_objects() if isinstance(each, pyproc._state_page.StatePage)]

@expose
def page(x):
    words = list(pages[0].words[:5])
    return [words[{TAKEN}], words[{RESUMED}]]

@expose(batch=8)
def pages_of(calls):
    return [page(None)] * len(calls)
"""
    )
    host = ready(source)
    # So that it counts as quick.
    assert host.call("page", call=1) == [1, 0]
    assert host.call("page", call=2) == [2, 0]
    held = Held(host, tmp_path, call=3)
    for call, name in enumerate(["pages_of", "page", "pages_of", "page", "pages_of"], 4):
        host.request(call, name)
    held.release()
    together = [8, 0]
    assert answers(host, 6) == {
        3: None,
        4: together,
        6: together,
        8: together,
        5: [8, 5],
        7: [8, 7],
    }
    assert list(host.words[TAKEN : RESUMED + 1 : RESUMED - TAKEN]) == [8, 0]
    assert host.call("page", call=9) == [9, 0]


def test_a_call_whose_argument_does_not_fit_fails_alone(ready: Spawn, tmp_path: Path) -> None:
    host = ready(SOURCE + HOLD)
    held = Held(host, tmp_path, call=1)
    for call, body in enumerate([b"1", b'"two"', b"[", b"4"], 2):
        host.request(call, "double", body)
    held.release()
    found = answers(host, 5)
    status, message = found.pop(4)
    assert status == Status.INVALID_BODY
    assert message
    assert found == {
        1: None,
        2: 2,
        3: (Status.INVALID_ARGUMENT, "$: expected int, got str"),
        5: 8,
    }
    assert host.call("seen", {}, call=6) == [[1, 4]]


def test_a_batch_of_nothing_but_misfits_is_not_run(ready: Spawn) -> None:
    host = ready(SOURCE)
    host.request(1, "double", "one")
    assert host.failed()[1] == Status.INVALID_ARGUMENT
    assert host.call("seen", {}, call=2) == []


def test_an_item_error_reaches_its_caller_and_nobody_else(ready: Spawn, tmp_path: Path) -> None:
    host = ready(
        SOURCE
        + HOLD
        + """
@expose(batch=8)
def items(kinds: list[str]):
    results = []
    for kind in kinds:
        if kind == "message": results.append(ItemError("the row is empty"))
        elif kind == "error":
            try: int("x")
            except ValueError as error: results.append(ItemError(error))
        elif kind == "object": results.append(object())
        else: results.append(kind)
    return results
"""
    )
    held = Held(host, tmp_path, call=1)
    for call, kind in enumerate(["fine", "message", "error", "object", "also fine"], 2):
        host.request(call, "items", kind)
    held.release()
    found = answers(host, 6)
    status, message = found.pop(5)
    assert status == Status.INVALID_RESULT
    assert "object" in message
    assert found == {
        1: None,
        2: "fine",
        3: (Status.EXCEPTION, "the row is empty"),
        4: (Status.EXCEPTION, "invalid literal for int() with base 10: 'x'"),
        6: "also fine",
    }
    host.request(7, "items", "error")
    error = host.failed()[2]
    assert error["type"] == "ValueError"
    assert 'try: int("x")' in error["traceback"]
    host.request(8, "items", "message")
    assert host.failed()[2]["type"] == "pyproc.ItemError"


def test_whatever_an_item_error_is_made_of_it_ends_one_call(ready: Spawn, tmp_path: Path) -> None:
    host = ready(
        SOURCE
        + HOLD
        + """
import asyncio

class Short(list):
    def __iter__(self): return iter(self[:1])

@expose(batch=4)
def odd(xs):
    made = {1: SystemExit(3), 2: asyncio.CancelledError("gone"), 3: KeyboardInterrupt()}
    return [ItemError(made[x]) if x in made else x for x in xs]

@expose(batch=4)
def short(xs): return Short(xs)
"""
    )
    held = Held(host, tmp_path, call=1)
    for call in range(2, 6):
        host.request(call, "odd", call - 2)
    for call in range(6, 8):
        host.request(call, "short", call)
    held.release()
    found = answers(host, 7)
    assert [found.pop(call)[0] for call in (3, 4, 5)] == [Status.EXCEPTION] * 3
    short = (
        Status.INVALID_RESULT,
        "$: function `short` returned 1 results for a batch of 2 calls",
    )
    assert found == {1: None, 2: 0, 6: short, 7: short}


@pytest.mark.parametrize("ends", ["KeyboardInterrupt", "SystemExit"])
def test_results_that_are_encoded_are_sent_when_another_ends_the_batch(
    ready: Spawn, tmp_path: Path, ends: str
) -> None:
    host = ready(
        SOURCE
        + HOLD
        + f"""
import dataclasses

@dataclasses.dataclass
class Bad:
    x: int
    def __getattribute__(self, name):
        if name == "x":
            raise {ends}(3)
        return super().__getattribute__(name)

@expose(batch=4)
def odd(xs):
    made = {{2: ItemError("two"), 3: Bad(3)}}
    return [made.get(x, x) for x in xs]
"""
    )
    held = Held(host, tmp_path, call=1)
    for call in range(1, 5):
        host.request(call + 1, "odd", call)
    held.release()
    expected: dict[int, Any] = {1: None, 2: 1, 3: (Status.EXCEPTION, "two")}
    if ends == "SystemExit":
        assert answers(host, 3) == expected
        assert host.wait()[0] == 3
    else:
        failed = (Status.EXCEPTION, "3")
        assert answers(host, 5) == expected | {4: failed, 5: failed}


@pytest.mark.parametrize(
    ("returned", "status", "message"),
    [
        ("1 / 0", Status.EXCEPTION, "division by zero"),
        (
            "[1] * (len(xs) - 1)",
            Status.INVALID_RESULT,
            "$: function `bad` returned 2 results for a batch of 3 calls",
        ),
        (
            "[1] * 5",
            Status.INVALID_RESULT,
            "$: function `bad` returned 5 results for a batch of 3 calls",
        ),
        (
            "None",
            Status.INVALID_RESULT,
            "$: function `bad` takes batches, and returned None instead of a list",
        ),
        (
            "{'a': 1, 'b': 2, 'c': 3}",
            Status.INVALID_RESULT,
            "$: function `bad` takes batches, and returned dict instead of a list",
        ),
    ],
)
def test_what_ends_a_batch_ends_all_calls_of_it(
    ready: Spawn, tmp_path: Path, returned: str, status: int, message: str
) -> None:
    host = ready(SOURCE + HOLD + f"@expose(batch=3)\ndef bad(xs): return {returned}\n")
    held = Held(host, tmp_path, call=1)
    for call in (2, 3, 4):
        host.request(call, "bad", call)
    held.release()
    assert answers(host, 4) == {1: None} | dict.fromkeys((2, 3, 4), (status, message))
    assert host.call("echo", 5, call=5) == 5


@pytest.mark.parametrize("returned", ["tuple(xs)", "numpy.array(xs) * 2"])
def test_results_need_not_be_a_list_itself(ready: Spawn, returned: str) -> None:
    pytest.importorskip("numpy")
    host = ready(f"import numpy\n{SOURCE}@expose(batch=3)\ndef give(xs): return {returned}\n")
    assert host.call("give", 3) in (3, 6)


def test_calls_that_are_over_before_the_batch_begins_are_no_part_of_it(
    ready: Spawn, tmp_path: Path
) -> None:
    host = ready(SOURCE + HOLD)
    held = Held(host, tmp_path, call=1)
    soon = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 1_000_000
    for call in range(2, 9):
        host.request(call, "double", call, **({"deadline": soon} if call in (2, 5) else {}))
    host.send(Kind.CANCEL, call=3)
    time.sleep(0.002)
    held.release()
    expired = (Status.DEADLINE, "the deadline passed before the call began")
    assert answers(host, 8) == {
        1: None,
        2: expired,
        3: (Status.CANCELLED, "the call was cancelled before it began"),
        4: 8,
        5: expired,
        6: 12,
        7: 14,
        8: 16,
    }
    assert host.call("seen", {}, call=9) == [[4, 6, 7, 8]]


PATIENT = """
@expose(batch=3, max_wait=600)
def patient(xs: list[int]) -> list[list[int]]:
    return [xs] * len(xs)
"""


def test_an_idle_worker_waits_until_the_batch_is_full(ready: Spawn) -> None:
    host = ready(SOURCE + PATIENT)
    host.request(1, "patient", 1)
    host.request(2, "patient", 2)
    assert is_silent(host)
    host.request(3, "patient", 3)
    assert answers(host, 3) == {call: [1, 2, 3] for call in (1, 2, 3)}


def test_an_idle_worker_waits_for_max_wait_at_most(ready: Spawn) -> None:
    for seconds in ("0.02", "0.0002"):
        host = ready(SOURCE + PATIENT.replace("600", seconds))
        assert host.call("patient", 1) == [1]


def test_calls_that_have_waited_long_enough_wait_for_nobody(ready: Spawn, tmp_path: Path) -> None:
    host = ready(SOURCE + HOLD + PATIENT.replace("600", "1"))
    held = Held(host, tmp_path, call=1)
    time.sleep(1)
    host.request(2, "patient", 2)
    held.release()
    began = time.monotonic()
    assert answers(host, 2) == {1: None, 2: [2]}
    assert time.monotonic() - began < 1


def test_a_worker_that_has_other_things_to_do_does_not_wait(ready: Spawn) -> None:
    host = ready(SOURCE + PATIENT)
    host.request(1, "patient", 1)
    host.request(2, "echo", 2)
    assert answers(host, 2) == {1: [1], 2: 2}


def test_a_call_that_waits_for_others_can_be_cancelled(ready: Spawn) -> None:
    host = ready(SOURCE + PATIENT)
    host.request(1, "patient", 1)
    assert is_silent(host)
    host.send(Kind.CANCEL, call=1)
    assert host.failed()[:2] == (1, Status.CANCELLED)
    assert host.call("echo", 2, call=2) == 2


@pytest.mark.parametrize("how", ["signal", "drain"])
def test_a_worker_that_is_to_end_waits_for_nobody(ready: Spawn, how: str) -> None:
    host = ready(SOURCE + PATIENT)
    host.request(1, "patient", 1)
    assert is_silent(host)
    if how == "signal":
        host.process.send_signal(signal.SIGTERM)
        frames = [host.expect_any()[0] for _ in range(3)]
        assert sorted(frames[:2]) == sorted((Kind.REPLY, Kind.DRAIN))
    else:
        host.send(Kind.DRAIN)
        frames = [host.expect_any()[0] for _ in range(2)]
        assert frames[0] == Kind.REPLY
    assert frames[-1] == Kind.GOODBYE


@pytest.mark.skipif(not HAS_PAGE, reason="no memfd_create")
def test_a_batch_is_interrupted_by_the_id_of_its_last_call(ready: Spawn, tmp_path: Path) -> None:
    running = tmp_path / "running"
    host = ready(
        SOURCE
        + HOLD
        + f"""
@expose(batch=4)
def endless(xs: list[int]):
    open({str(running)!r}, "w").write("yes")
    while True: pass
"""
    )
    held = Held(host, tmp_path, call=1)
    for call, body in enumerate([2, "three", 4], 2):
        host.request(call, "endless", body)
    held.release()
    host.expect(Kind.REPLY)
    wait_for(running)
    assert host.words[TAKEN] == 4
    host.interrupt(2)
    assert is_silent(host)
    host.interrupt_until_answered(4)
    interrupted = (Status.INTERRUPTED, "the host has interrupted the call")
    assert answers(host, 3) == {
        2: interrupted,
        3: (Status.INVALID_ARGUMENT, "$: expected int, got str"),
        4: interrupted,
    }
    assert host.call("echo", 5, call=5) == 5


def test_an_exit_in_a_batch_ends_the_worker_after_what_was_finished(ready: Spawn) -> None:
    host = ready(SOURCE + "@expose(batch=2)\ndef leave(xs): sys.exit(3)\n")
    host.request(1, "echo", 1)
    host.request(2, "leave", 2)
    assert answers(host, 1) == {1: 1}
    assert host.read() is None
    assert host.wait()[0] == 3


def test_a_forked_copy_of_a_worker_cannot_answer_a_batch(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + """
@expose(batch=2)
def fork(xs):
    pid = os.fork()
    if pid: os.waitpid(pid, 0)
    return xs
"""
    )
    assert host.call("fork", 1, call=1) == 1
    assert host.call("fork", 2, call=2) == 2


def test_no_call_is_the_one_that_runs(ready: Spawn) -> None:
    host = ready(
        SOURCE
        + """
@expose(batch=2)
def context(xs):
    try: current_context()
    except LookupError as error: return [str(error)] * len(xs)
"""
    )
    assert host.call("context", 1) == "no call is running here"


def test_a_stream_is_not_asked_of_it(ready: Spawn, tmp_path: Path) -> None:
    host = ready(SOURCE + HOLD)
    held = Held(host, tmp_path, call=1)
    host.request(2, "double", 2)
    host.request(3, "double", 3, flags=Flag.WANTS_STREAM)
    held.release()
    message = "the function returns one value, and a stream was asked for"
    assert answers(host, 3) == {1: None, 2: 4, 3: (Status.INVALID_ARGUMENT, message)}


def test_answers_that_are_too_long_fail_alone(ready: Spawn, tmp_path: Path) -> None:
    host = ready(
        SOURCE + HOLD + "@expose(batch=4)\ndef long(xs): return ['x' * x for x in xs]\n",
        max_frame=4096,
    )
    held = Held(host, tmp_path, call=1)
    for call, length in enumerate([10, 5000, 20], 2):
        host.request(call, "long", length)
    held.release()
    found = answers(host, 4)
    assert found.pop(3)[0] == Status.TOO_LARGE
    assert found == {1: None, 2: 10 * "x", 4: 20 * "x"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "`batch` is 0; it is the greatest number of calls"),
        ({"batch": -1}, "`batch` is -1"),
        ({"batch": True}, "`batch` is True"),
        ({"batch": 2.0}, r"`batch` is 2\.0"),
        ({"batch": 1 << 16}, "`batch` is 65536; .* from 1 to 32768"),
        ({"batch": 2, "max_wait": -0.1}, r"`max_wait` is -0\.1; it is a time in seconds"),
        ({"batch": 2, "max_wait": float("nan")}, "`max_wait` is nan"),
        ({"batch": 2, "max_wait": "1s"}, "`max_wait` is '1s'"),
        ({"max_wait": 1.0}, "`max_wait` is for functions that take batches"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    def predict(rows: list[int]) -> list[int]:
        return rows

    with pytest.raises(
        RegistrationError, match=rf"function `predict` \(.*test_batch.py:\d+\): {message}"
    ):
        expose(**options)(predict)


def test_functions_that_cannot_take_batches_are_refused() -> None:
    def generator(rows: list[int]) -> Any:
        yield rows

    async def coroutine(rows: list[int]) -> list[int]:
        return rows

    for unfit, kind in ((generator, "a generator"), (coroutine, "an async function")):
        with pytest.raises(RegistrationError, match=rf"`{unfit.__name__}` \(.*\) is {kind}; one"):
            expose(batch=2)(unfit)

    def nothing() -> list[int]:
        return []

    def by_name(*, rows: list[int]) -> list[int]:
        return []

    def two(rows: list[int], more: int) -> list[int]:
        return []

    def one_row(row: int) -> list[int]:
        return []

    def a_map(rows: dict[str, int]) -> list[int]:
        return []

    def asks(rows: list[int], context: Context) -> list[int]:
        return []

    def none(rows: list[int]) -> None: ...
    def odd(rows: list[complex]) -> list[int]:
        return []

    for function, message in (
        (nothing, "has no parameter that could receive the list"),
        (by_name, "has no parameter that could receive the list"),
        (two, "parameter `more`: no call can give it"),
        (one_row, "parameter `row`: a function that takes batches gets a list, .* and not `int`"),
        (a_map, "parameter `rows`: .* and not `dict"),
        (asks, "parameter `context`: a batch is many calls, and has no one `Context`"),
        (none, "returns a list of as many results .* and not `None`"),
        (odd, "parameter `rows`: .*complex"),
    ):
        expose(batch=2)(function)
        pattern = rf"function `{function.__name__}` \(.*test_batch.py:\d+\).*{message}"
        with pytest.raises(SchemaError, match=pattern):
            REGISTRY[function.__name__].bind()
    expose(batch=2, arguments="keywords", name="keywords")(none)
    with pytest.raises(SchemaError, match='`arguments="keywords"` is not for'):
        REGISTRY["keywords"].bind()


def test_the_list_may_be_annotated_in_many_ways() -> None:
    def described(function: Any) -> tuple[str, str]:
        expose(batch=2, name="f")(function)
        binding = REGISTRY["f"].bind()
        del REGISTRY._functions["f"]
        return binding.parameters[0].type, binding.returns

    def bare(rows, more=1): ...  # type: ignore[no-untyped-def]
    def a_list(rows: list[float]) -> list[float | ItemError]:
        return []

    def a_sequence(rows: Sequence[dict[str, int]]) -> Sequence[str]:
        return []

    def annotated(rows: Annotated[list[int], "rows"]) -> Any: ...
    def anything(rows: Any) -> list:  # type: ignore[type-arg]
        return []

    assert described(bare) == ("Any", "Any")
    assert described(a_list) == ("float", "float | ItemError")
    assert described(annotated) == ("int", "Any")
    assert described(anything) == ("Any", "Any")
    with pytest.raises(SchemaError, match="needs `Sequence`, which is not there"):
        described(a_sequence)


def test_it_is_tested_like_any_other_function() -> None:
    @expose(batch=4, max_wait=0.1)
    def halve(numbers: list[int]) -> list[float | ItemError]:
        return [n / 2 if n else ItemError("nothing to halve") for n in numbers]

    @expose(batch=4)
    def lose(numbers: list[int]) -> list[int]:
        return []

    assert halve([1]) == [0.5]
    assert testing.call("halve", 3) == 1.5
    with pytest.raises(ItemError, match="nothing to halve"):
        testing.call(halve, 0)
    with pytest.raises(InvalidResult, match="returned 0 results for a batch of 1 calls"):
        testing.call(lose, 1)


def test_batches_form_beside_async_functions(spawn: Spawn, tmp_path: Path) -> None:
    host = spawn(
        SOURCE
        + HOLD
        + "import asyncio\n@expose\nasync def nap(x): await asyncio.sleep(0); return x\n"
    )
    host.welcome()
    held = Held(host, tmp_path, call=1)
    for call, name in enumerate(["double", "nap", "double", "nap", "double"], 2):
        host.request(call, name, call)
    held.release()
    assert answers(host, 6) == {1: None, 2: 4, 3: 3, 4: 8, 5: 5, 6: 12}
    assert host.call("seen", {}, call=7) == [[2, 4, 6]]


def test_a_call_that_sends_items_to_a_batch_is_refused_alone(ready: Spawn, tmp_path: Path) -> None:
    host = ready(SOURCE + HOLD)
    held = Held(host, tmp_path, call=1)
    for call in (2, 3, 4):
        host.request(call, "double", call, flags=Flag.ITEMS_FOLLOW if call == 3 else 0)
    held.release()
    found = answers(host, 4)
    status, message = found.pop(3)
    assert status == Status.INVALID_ARGUMENT
    assert "takes no stream" in message
    assert found == {1: None, 2: 4, 4: 8}
