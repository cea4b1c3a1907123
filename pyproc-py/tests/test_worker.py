"""A spawned worker, seen from its host: calls, their errors, and how it ends."""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from host import TIMEOUT_SECONDS, Host

from pyproc._protocol import Flag, Kind, Status

if TYPE_CHECKING:
    from conftest import Spawn

PRELUDE = "from pyproc import *\nimport os, sys, time\n"


def wait_for(path: Path) -> str:
    """Wait until a file has text, which a function writes to say that it runs."""
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < give_up:
        if path.exists() and path.stat().st_size:
            return path.read_text()
        select.select([], [], [], 0.002)
    raise TimeoutError(path)


def gate(tmp_path: Path) -> str:
    """Source of a function that says that it runs, and then waits for a file."""
    return (
        PRELUDE
        + f"""
@expose
def hold(x):
    open({str(tmp_path / "running")!r}, "w").write("yes")
    while not os.path.exists({str(tmp_path / "go")!r}):
        time.sleep(0.001)
    return x

@expose
def echo(x):
    return x
"""
    )


def test_the_welcome_describes_worker_and_functions(spawn: Spawn, core: str) -> None:
    host = spawn(
        PRELUDE + "@expose\ndef add(a: int, b: int = 2) -> int:\n    return a + b\n",
        codec="json",
    )
    welcome = host.welcome()
    assert welcome["pid"] == host.process.pid
    native = core == "native"
    assert welcome["package"] == {"version": "0.1.0", "origin": "embedded", "native": native}
    assert welcome["functions"][0] == {
        "name": "add",
        "arguments": "keywords",
        "parameters": [
            {"name": "a", "type": "int", "required": True, "stream": False},
            {"name": "b", "type": "int", "required": False, "stream": False},
        ],
        "returns": "int",
        "async": False,
        "stream": False,
        "batch": 0,
    }
    assert [each["name"] for each in welcome["functions"]] == ["add", "health"]
    assert host.call("add", {"a": 1}) == 3
    assert host.call("health", {}, call=2) == {"status": "healthy", "pid": host.process.pid}


def test_a_health_function_of_the_user_replaces_the_built_in_one(ready: Spawn) -> None:
    host = ready(PRELUDE + "@expose\ndef health(): return 'very'\n")
    assert list(host.functions) == ["health"]
    assert host.call("health") == "very"


def test_frames_that_arrive_byte_by_byte_are_answered(ready: Spawn) -> None:
    host = ready(PRELUDE + "@expose\ndef echo(x): return x\n")
    from pyproc._protocol import encode_frame

    for byte in encode_frame(Kind.REQUEST, b'"slow"', call=1):
        host.socket.sendall(bytes([byte]))
    assert host.expect(Kind.REPLY)[6] == b'"slow"'


def test_many_requests_in_one_write_are_answered_in_order(ready: Spawn) -> None:
    from pyproc._protocol import encode_frame

    host = ready(PRELUDE + "@expose\ndef echo(x): return x\n")
    calls = range(1, 501)
    host.socket.sendall(b"".join(encode_frame(Kind.REQUEST, b"%d" % i, call=i) for i in calls))
    assert [host.expect(Kind.REPLY)[3] for _ in calls] == list(calls)


def test_a_large_body_goes_both_ways(ready: Spawn) -> None:
    host = ready(PRELUDE + "@expose\ndef echo(x): return x\n")
    assert host.call("echo", "x" * 5_000_000) == "x" * 5_000_000


def test_a_finished_reply_is_not_held_behind_a_slow_call(ready: Spawn, tmp_path: Path) -> None:
    host = ready(gate(tmp_path))
    host.request(1, "echo", 1)
    host.request(2, "hold", 2)
    assert host.expect(Kind.REPLY)[3] == 1
    (tmp_path / "go").touch()
    assert host.expect(Kind.REPLY)[3] == 2


@pytest.mark.parametrize(
    ("body", "type_name", "message"),
    [
        ("raise ValueError('bad')", "ValueError", "bad"),
        (
            "raise __import__('json').JSONDecodeError('no', 'x', 0)",
            "json.decoder.JSONDecodeError",
            "no",
        ),
        ("raise Mine('own')", "worker.Mine", "own"),
        (
            "raise Silent()",
            "worker.Silent",
            "(its message cannot be shown: __str__ raised OSError)",
        ),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("raise StopIteration(1)", "StopIteration", "1"),
        ("raise GeneratorExit", "GeneratorExit", ""),
        ("raise BaseException('b')", "BaseException", "b"),
        ("raise MemoryError", "MemoryError", ""),
        ("raise InvalidArgument('$', 'mine')", "pyproc._errors.InvalidArgument", "$: mine"),
        ("deep(0)", "RecursionError", "maximum recursion depth exceeded"),
        ("raise ValueError('\\ud800')", "ValueError", "\\ud800"),
    ],
)
def test_an_exception_is_told(ready: Spawn, body: str, type_name: str, message: str) -> None:
    host = ready(
        PRELUDE
        + f"""
class Mine(Exception): pass
class Silent(Exception):
    def __str__(self): raise OSError("no")
def deep(n): return deep(n + 1)
@expose
def fail(x):
    {body}
@expose
def echo(x): return x
"""
    )
    host.request(1, "fail")
    call, status, error = host.failed()
    assert (call, status, error["type"]) == (1, Status.EXCEPTION, type_name)
    assert error["message"].startswith(message)
    lines = error["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith('  File "worker.py", line ')
    assert lines[1].endswith(", in fail")
    assert host.call("echo", 1, call=2) == 1


def test_a_huge_message_is_cut(ready: Spawn) -> None:
    host = ready(PRELUDE + "@expose\ndef fail(x): raise ValueError('a' + 'é' * 10**7 + 'z')\n")
    host.request(1, "fail")
    _, _, error = host.failed()
    assert len(error["message"].encode()) <= 64 * 1024
    assert error["message"].startswith("aé")
    assert error["message"].endswith("éz")
    assert "left out" in error["message"]


def test_an_error_fits_into_a_small_frame(ready: Spawn) -> None:
    host = ready(
        PRELUDE + "@expose\ndef fail(x): raise ValueError('\\0' * 10000)\n", max_frame=1024
    )
    host.request(1, "fail")
    assert host.failed()[2]["type"] == "ValueError"


@pytest.mark.parametrize(
    ("name", "body", "status", "type_name", "message"),
    [
        ("typed", b'{"a":"x"}', Status.INVALID_ARGUMENT, "InvalidArgument", "$.a: expected int"),
        ("typed", b"{}", Status.INVALID_ARGUMENT, "InvalidArgument", "$: argument `a` is missing"),
        ("typed", b"{", Status.INVALID_BODY, "InvalidBody", "the body is not JSON"),
        ("echo", b"NaN", Status.INVALID_BODY, "InvalidBody", "$: JSON has no NaN"),
        ("echo", b"[" * 10**5, Status.INVALID_BODY, "InvalidBody", "the body is nested too deeply"),
        ("nan", b"1", Status.INVALID_RESULT, "InvalidResult", "$[0].x: JSON has no nan"),
        ("thing", b"1", Status.INVALID_RESULT, "InvalidResult", "$.a: an object cannot be sent"),
        ("cycle", b"1", Status.INVALID_RESULT, "InvalidResult", "$"),
        ("large", b"1", Status.TOO_LARGE, "CallError", "the reply has 100014 bytes"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_worker_lives(
    ready: Spawn, name: str, body: bytes, status: int, type_name: str, message: str
) -> None:
    host = ready(
        PRELUDE
        + """
@expose
def typed(a: int, b: int = 0): return a
@expose
def echo(x): return x
@expose
def nan(x): return [{"x": float("nan")}]
@expose
def thing(x): return {"a": object()}
@expose
def cycle(x):
    c = []
    c.append(c)
    return c
@expose
def large(x): return "x" * 100_000
""",
        max_frame=100_000 + 13,
    )
    host.request(1, name, body)
    call, found, error = host.failed()
    assert (call, found, error["type"]) == (1, status, type_name)
    assert error["message"].startswith(message)
    assert "traceback" not in error
    assert host.call("echo", 1, call=2) == 1


def test_an_index_that_is_not_in_the_table_is_no_function(ready: Spawn) -> None:
    host = ready()
    host.send(Kind.REQUEST, b"1", index=77, call=1)
    _, status, error = host.failed()
    assert (status, error["message"]) == (
        Status.FUNCTION_NOT_FOUND,
        "function `#77` is not exposed",
    )


def test_queued_calls_can_be_cancelled_and_running_ones_not(ready: Spawn, tmp_path: Path) -> None:
    host = ready(gate(tmp_path))
    for call in (1, 2, 3):
        host.request(call, "hold" if call == 1 else "echo", call)
    wait_for(tmp_path / "running")
    for call in (1, 2):
        host.send(Kind.CANCEL, call=call)
    host.send(Kind.PING, b"between")
    (tmp_path / "go").touch()
    assert host.expect(Kind.REPLY)[3] == 1
    answers = [host.read() for _ in range(2)]
    assert {answer and answer[0] for answer in answers} == {Kind.ERROR, Kind.PONG}
    assert host.expect(Kind.REPLY)[3] == 3


def test_a_call_past_its_deadline_is_not_run(ready: Spawn, tmp_path: Path) -> None:
    host = ready(gate(tmp_path))
    host.request(1, "hold", deadline=time.clock_gettime_ns(time.CLOCK_MONOTONIC) - 1)
    call, status, _ = host.failed()
    assert (call, status) == (1, Status.DEADLINE)
    assert not (tmp_path / "running").exists()


@pytest.mark.parametrize("clock", ["monotonic", "remaining"])
def test_the_context_tells_what_the_host_said(ready: Spawn, clock: str) -> None:
    host = ready(
        PRELUDE
        + """
@expose
def tell(x, context: Context):
    assert current_context().call_id == context.call_id
    c = context
    return [c.call_id, c.remaining(), c.metadata, c.pool, c.slot]
@expose
def bare(x):
    try: return [current_context().remaining(), current_context().deadline]
    except LookupError: return "none"
try: current_context()
except LookupError: pass
""",
        deadline_clock=clock,
        pool="iris",
        slot=3,
    )
    seconds = 3600
    deadline = seconds * 1_000_000
    if clock == "monotonic":
        deadline = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + seconds * 10**9
    host.request(7, "tell", 1, deadline=deadline, metadata=[("user", "ä")])
    call, remaining, metadata, pool, slot = json.loads(host.expect(Kind.REPLY)[6])
    assert (call, metadata, pool, slot) == (7, {"user": "ä"}, "iris", 3)
    assert seconds - TIMEOUT_SECONDS < remaining <= seconds
    assert host.call("bare", 1, call=8) == [None, None]


def test_metadata_go_back_beside_the_result(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
@expose
def tell(x, context: Context):
    context.set_metadata("trace", "early")
    current_context().set_metadata("trace", context.metadata["trace"])
    # What is handed out is a copy.
    context.reply_metadata["n"] = x
    context.set_metadata("x", "ä" * x)
    return dict(context.reply_metadata)
@expose
def refused(x):
    told = []
    for key, value in (("k", 1), ("k", "v" * 65_532), ("k", chr(0xd800))):
        try: current_context().set_metadata(key, value)
        except Exception as error: told.append(type(error).__name__)
    current_context().set_metadata("k", "v" * 65_530)
    return told
@expose
def fails(x):
    current_context().set_metadata("k", "v")
    raise ValueError
@expose
def plain(x): return dict(current_context().reply_metadata)
""",
        max_frame=100_000,
    )
    host.request(1, "tell", 2, metadata=[("trace", "00-ä")])
    kind, flags, _, call, _, metadata, body = host.expect_any()
    assert (kind, flags, call) == (Kind.REPLY, Flag.METADATA, 1)
    assert metadata == (("trace", "00-ä"), ("x", "ää"))
    assert dict(metadata) == json.loads(body)
    host.request(2, "refused", 0)
    *_, metadata, body = host.expect(Kind.REPLY)
    assert json.loads(body) == ["TypeError", "ValueError", "UnicodeEncodeError"]
    assert metadata == (("k", "v" * 65_530),)
    host.request(3, "fails", 0)
    assert host.expect(Kind.ERROR)[5] == ()
    host.request(4, "plain", 0)
    *_, metadata, body = host.expect(Kind.REPLY)
    assert (metadata, json.loads(body)) == ((), {})


def test_messagepack_carries_bytes(ready: Spawn) -> None:
    msgspec = pytest.importorskip("msgspec")
    host = ready(PRELUDE + "@expose\ndef echo(x): return [x, float('inf')]\n", codec="msgpack")
    host.request(1, "echo", msgspec.msgpack.encode(b"\xff"))
    assert msgspec.msgpack.decode(host.expect(Kind.REPLY)[6]) == [b"\xff", float("inf")]


def test_a_codec_of_the_script_is_known_after_its_import(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
register_codec("reversed", lambda v: v[::-1].encode(), lambda b: b.decode()[::-1])
@expose
def echo(x): return x + "!"
""",
        codec="reversed",
    )
    host.request(1, "echo", b"cba")
    assert host.expect(Kind.REPLY)[6] == b"!cba"


def test_the_host_drains_the_worker(ready: Spawn, tmp_path: Path) -> None:
    host = ready(gate(tmp_path) + "@on_stop\ndef bye(): print('stopped')\n")
    host.request(1, "hold", 1)
    wait_for(tmp_path / "running")
    host.request(2, "echo", 2)
    host.send(Kind.DRAIN)
    host.request(3, "echo", 3)
    (tmp_path / "go").touch()
    seen = []
    while (frame := host.read()) is not None:
        seen.append((frame[0], frame[2], frame[3]))
    assert sorted(seen) == [
        (Kind.REPLY, 0, 1),
        (Kind.REPLY, 0, 2),
        (Kind.ERROR, Status.DRAINING, 3),
        (Kind.GOODBYE, 0, 0),
    ]
    assert seen[-1][0] == Kind.GOODBYE
    assert host.wait() == (0, "stopped\n", "")


def test_sigterm_drains(ready: Spawn, tmp_path: Path) -> None:
    host = ready(gate(tmp_path) + "@on_stop\ndef bye(): print('stopped')\n")
    host.request(1, "hold", 1)
    host.request(2, "echo", 2)
    wait_for(tmp_path / "running")
    host.process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    kinds = []
    while (frame := host.read()) is not None:
        kinds.append(frame[0])
    assert sorted(kinds) == [Kind.REPLY, Kind.REPLY, Kind.DRAIN, Kind.GOODBYE]
    assert host.wait() == (0, "stopped\n", "")


def test_sigterm_ends_an_idle_worker(ready: Spawn) -> None:
    host = ready(PRELUDE + "@on_stop\ndef broken(): raise ValueError('no')\n")
    host.process.send_signal(signal.SIGTERM)
    assert [frame[0] for frame in iter(host.read, None)] == [Kind.DRAIN, Kind.GOODBYE]
    code, _, err = host.wait()
    assert code == 0
    assert "the stop hook `broken` failed" in err
    assert "ValueError: no" in err


def test_sigterm_is_not_lost_when_user_code_took_the_wakeup_descriptor(ready: Spawn) -> None:
    host = ready(
        PRELUDE + "import signal\n@expose\ndef take(x): signal.set_wakeup_fd(-1); return x\n"
    )
    assert host.call("take", 1) == 1
    host.process.send_signal(signal.SIGTERM)
    assert [frame[0] for frame in iter(host.read, None)] == [Kind.DRAIN, Kind.GOODBYE]


@pytest.mark.parametrize("kind", [None, Kind.GOODBYE])
def test_the_worker_ends_with_the_connection(ready: Spawn, kind: int | None) -> None:
    host = ready(PRELUDE + "@on_stop\ndef bye(): print('stopped')\n")
    if kind is not None:
        host.send(kind)
    host.socket.close()
    assert host.wait() == (0, "stopped\n", "")


def test_the_lifeline_ends_a_worker_that_runs(ready: Spawn, tmp_path: Path) -> None:
    host = ready(gate(tmp_path))
    host.request(1, "hold")
    wait_for(tmp_path / "running")
    assert host.lifeline is not None
    os.close(host.lifeline)
    host.lifeline = None
    assert host.wait()[0] == -signal.SIGKILL


def test_a_function_that_closes_what_it_has_not_opened_does_not_outlive_the_host(
    ready: Spawn, tmp_path: Path
) -> None:
    running = tmp_path / "running"
    host = ready(
        PRELUDE
        + f"""
@expose
def hold(x):
    os.closerange(3, 100)
    open({str(running)!r}, "w").write("yes")
    while True: time.sleep(1)
"""
    )
    host.request(1, "hold")
    wait_for(running)
    assert host.lifeline is not None
    os.close(host.lifeline)
    host.lifeline = None
    assert host.wait()[0] == -signal.SIGKILL


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x0c\x01" + bytes(11), b"\xff" * 4]
)
def test_garbage_from_the_host_ends_the_worker(ready: Spawn, garbage: bytes) -> None:
    host = ready()
    host.socket.sendall(garbage)
    code, _, err = host.wait()
    assert code == 1
    assert "the host broke the protocol" in err


@pytest.mark.parametrize(
    ("statement", "code"), [("sys.exit(7)", 7), ("sys.exit()", 0), ("sys.exit('why')", 1)]
)
def test_sys_exit_ends_the_worker_after_finished_replies(
    ready: Spawn, statement: str, code: int
) -> None:
    host = ready(PRELUDE + f"@expose\ndef leave(x): {statement}\n@expose\ndef echo(x): return x\n")
    for call in range(1, 20):
        assert host.call("echo", call, call=call) == call
    host.request(20, "echo", 1)
    host.request(21, "leave", 1)
    assert host.expect(Kind.REPLY)[3] == 20
    assert host.read() is None
    assert host.wait()[0] == code


def test_a_fork_that_returns_does_not_answer_twice(ready: Spawn, tmp_path: Path) -> None:
    host = ready(
        PRELUDE
        + """
@expose
def fork(how):
    pid = os.fork()
    if pid == 0:
        if how == "raise": raise ValueError("in the child")
        if how == "exit": sys.exit(5)
        return "child"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
@on_stop
def bye(): print("stopped")
"""
    )
    assert host.call("fork", "return", call=1) == 0
    assert host.call("fork", "raise", call=2) == 0
    assert host.call("fork", "exit", call=3) == 5
    host.send(Kind.PING, b"still one")
    assert host.expect(Kind.PONG)[6] == b"still one"
    host.send(Kind.DRAIN)
    assert host.expect(Kind.GOODBYE)
    assert host.wait() == (0, "stopped\n", "")


def test_a_child_of_multiprocessing_can_be_terminated(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
import multiprocessing
@expose
def run(x):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=time.sleep, args=(3600,))
    process.start()
    process.terminate()
    process.join()
    return process.exitcode
"""
    )
    assert host.call("run") == -signal.SIGTERM


def test_what_is_printed_goes_to_the_streams(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
@expose
def speak(x):
    print("line \\ud800")
    print("err", file=sys.stderr)
    return [sys.stdin.read(), os.read(0, 1).decode()]
"""
    )
    assert host.call("speak") == ["", ""]
    assert host.process.stdout is not None
    assert host.process.stdout.readline() == b"line \\ud800\n"
    assert host.process.stderr is not None
    assert host.process.stderr.readline() == b"err\n"


def test_a_breakpoint_says_how_to_get_a_debugger(ready: Spawn, tmp_path: Path) -> None:
    script = tmp_path / "my iris.py"
    script.write_text(PRELUDE + "@expose\ndef stop(x): breakpoint()\n")
    host = ready(target={"path": str(script)})
    host.request(1, "stop")
    error = host.failed()[2]
    assert error["type"] == "RuntimeError"
    steps = error["message"].partition("in the foreground: ")[2].replace("/pyproc-py/..", "")
    python = shlex.quote(os.path.normpath(sys.executable))
    assert steps == (
        f"{python} -m pip install pyproc-py, then "
        f"{python} -m pyproc {shlex.quote(str(script))} --call stop JSON"
    )
    host = ready(PRELUDE + "@expose\ndef stop(x): breakpoint()\n")
    host.request(1, "stop")
    assert ", then save the source as worker.py, then " in host.failed()[2]["message"]


def test_the_title_names_pool_and_slot(ready: Spawn) -> None:
    if not Path("/proc/self/comm").exists():
        pytest.skip("no /proc")
    host = ready(pool="a-long-pool-name", slot=12)
    process = Path("/proc") / str(host.process.pid)
    assert (process / "cmdline").read_bytes() == b"pyproc a-long-pool-name/12\0"
    assert (process / "comm").read_text() == "pyproc a-long-p\n"


def test_no_child_inherits_descriptors_of_the_worker(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
import subprocess
@expose
def look(x):
    code = "import os; print(len([f for f in os.listdir('/dev/fd') if int(f) > 2]))"
    return subprocess.check_output([sys.executable, "-c", code], close_fds=False, text=True)
"""
    )
    assert host.call("look").strip() == "1"  # That of the listing itself.


def test_user_code_that_closes_descriptors_is_told_so(ready: Spawn) -> None:
    host = ready(PRELUDE + "@expose\ndef close(x): os.closerange(3, 4096)\n")
    host.request(1, "close")
    code, _, err = host.wait()
    assert code == 1
    assert "did the user's code close descriptors" in err


def logs(host: Host, count: int) -> list[dict[str, Any]]:
    return [json.loads(host.expect(Kind.LOG)[6]) for _ in range(count)]


@pytest.mark.parametrize("where", ["top", "function"])
def test_logging_goes_to_the_host(ready: Spawn, spawn: Spawn, where: str) -> None:
    imported = "import logging\n" if where == "top" else ""
    host = spawn(
        PRELUDE
        + imported
        + """
class Broken:
    def __str__(self): raise ValueError
@expose
def log(x):
    import logging, threading
    logging.getLogger("a.b").info("number %d", 5)
    logging.debug("not sent")
    logging.basicConfig(level=10)
    try: 1 / 0
    except ZeroDivisionError: logging.exception("failed")
    logging.info("%d", "not a number")
    logging.info(Broken())
    logging.log(1000, "é" * 10**6)
    def write():
        for _ in range(100): logging.info("t")
    threads = [threading.Thread(target=write) for _ in range(4)]
    [t.start() for t in threads]; [t.join() for t in threads]
    return 1
""",
        log_level=20,
    )
    host.welcome()
    host.request(1, "log")
    frame = host.expect(Kind.LOG)
    assert frame[3] == 1
    assert json.loads(frame[6]) == {"level": 20, "logger": "a.b", "message": "number 5"}
    (failed, long) = logs(host, 2)
    assert failed["level"] == 40
    assert "ZeroDivisionError" in failed["message"]
    assert long["level"] == 255
    assert len(long["message"].encode()) <= 64 * 1024
    assert {entry["message"] for entry in logs(host, 400)} == {"t"}
    assert host.expect(Kind.REPLY)


def test_logging_while_the_module_is_imported_comes_before_the_welcome(spawn: Spawn) -> None:
    host = spawn("import logging\nlogging.warning('early')\n")
    frame = host.expect(Kind.LOG)
    assert (frame[3], json.loads(frame[6])["message"]) == (0, "early")
    host.welcome()


@pytest.mark.parametrize(
    "refusal", ["CallError('no')", "KeyError('no')", "InvalidResult('$.x', 'no')", "Silent()"]
)
@pytest.mark.parametrize("shape", ["Record", "Choice"])
def test_what_a_users_class_raises_about_an_argument_names_its_place(
    ready: Spawn, refusal: str, shape: str
) -> None:
    host = ready(
        PRELUDE
        + f"""
from dataclasses import dataclass
from enum import Enum
class Silent(Exception):
    def __str__(self): raise OSError
@dataclass
class Record:
    x: int
    def __post_init__(self): raise {refusal}
class Choice(Enum):
    A = 1
    @classmethod
    def _missing_(cls, value): raise {refusal}
@expose
def take(a: list[{shape}], b: int = 0): return 1
"""
    )
    body = {"x": 1} if shape == "Record" else 2
    host.request(1, "take", {"a": [body]})
    _, status, error = host.failed()
    assert (status, error["type"]) == (Status.INVALID_ARGUMENT, "InvalidArgument")
    assert error["message"].startswith("$.a[0]: ")
    assert host.call("health", {}, call=2)


def test_an_error_of_a_call_without_a_status_is_an_exception(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
class Strange(list):
    def __iter__(self): raise CallError("no")
@expose
def strange(x): return Strange([1])
"""
    )
    host.request(1, "strange")
    assert host.failed()[1] == Status.EXCEPTION
    assert host.call("health", {}, call=2)


def test_a_logger_with_a_level_of_its_own_sends_what_the_host_wants(spawn: Spawn) -> None:
    host = spawn(
        "import logging\n"
        "logging.getLogger('noisy').setLevel(10)\n"
        "logging.getLogger('noisy').debug('fine')\n"
        "logging.getLogger('noisy').warning('early')\n"
    )
    assert [each["message"] for each in logs(host, 1)] == ["early"]


def test_warnings_of_a_forked_child_go_to_stderr(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
import logging
@expose
def fork(x):
    if os.fork() == 0:
        logging.info("quiet")
        logging.warning("from the child")
        os._exit(0)
    return os.wait()[1]
"""
    )
    assert host.call("fork") == 0
    host.send(Kind.GOODBYE)
    assert host.wait() == (0, "", "from the child\n")


def test_sys_exit_waits_for_no_thread(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
import threading
@expose
def leave(x):
    threading.Thread(target=time.sleep, args=(60,), name="sleeper").start()
    sys.exit(7)
"""
    )
    began = time.monotonic()
    host.request(1, "leave")
    assert host.read() is None
    code, _, err = host.wait()
    assert (code, err) == (7, "pyproc: the thread sleeper still ran at sys.exit()\n")
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("second", [5, 4])
def test_call_ids_must_grow(ready: Spawn, second: int) -> None:
    host = ready()
    assert host.call("health", {}, call=5)
    host.request(second, "health", {})
    code, _, err = host.wait()
    assert code == 1
    assert "the host broke the protocol" in err
    assert f"the call id {second} " in err


@pytest.mark.parametrize(
    "signature", ["health(model: str)", "health(a, b: int)", "health(body: list[int])"]
)
def test_a_health_function_that_hosts_cannot_call_is_refused(spawn: Spawn, signature: str) -> None:
    status, error = spawn(PRELUDE + f"@expose\ndef {signature}: return 1\n").refused()
    assert (status, error["type"]) == (Status.START_FAILED, "RegistrationError")
    assert (
        "function `health` (worker.py:3) is what hosts call with an empty map" in error["message"]
    )


def test_a_stop_hook_that_exits_skips_neither_the_others_nor_the_goodbye(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
@on_stop
def last(): print("last")
@on_stop
def leaves(): sys.exit(3)
"""
    )
    host.send(Kind.DRAIN)
    host.expect(Kind.GOODBYE)
    code, out, err = host.wait()
    assert (code, out) == (0, "last\n")
    assert err.startswith("pyproc: the stop hook `leaves` failed\n")


def test_a_search_for_logging_does_not_lose_it(spawn: Spawn) -> None:
    host = spawn(
        "import importlib.util\n"
        "importlib.util.find_spec('logging')\n"
        "import logging\n"
        "logging.warning('early')\n"
    )
    assert [each["message"] for each in logs(host, 1)] == ["early"]
