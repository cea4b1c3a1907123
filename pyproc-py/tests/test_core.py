"""Which loop a worker runs, and what must not go wrong in the compiled one."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from host import TIMEOUT_SECONDS

from pyproc._protocol import Kind, Status, encode_frame

if TYPE_CHECKING:
    from conftest import Spawn

PRELUDE = "from pyproc import *\nimport os, signal, sys, time\n@expose\ndef echo(x): return x\n"

UNFIT = {
    "raise ModuleNotFoundError('none', name='pyproc_native')": " does not have it",
    "raise ImportError('undefined symbol')": "it is there and cannot be loaded: undefined symbol",
    "VERSION = '0.0.1'": "version 0.0.1 is there, 0.1.0 is needed",
}


@pytest.mark.parametrize(("module", "reason"), UNFIT.items())
def test_a_core_that_is_asked_for_and_unfit_is_refused(
    spawn: Spawn, tmp_path: Path, module: str, reason: str
) -> None:
    (tmp_path / "pyproc_native.py").write_text(module)
    host = spawn(core="native", python_path=[str(tmp_path)])
    status, error = host.refused()
    assert status == Status.START_FAILED
    assert f"{reason}; install it: " in error["message"]
    assert error["message"].endswith(" -m pip install pyproc-native==0.1.0")
    assert host.wait()[0] == 1


@pytest.mark.parametrize(("module", "reason"), UNFIT.items())
def test_a_core_that_is_unfit_leaves_its_place_to_the_pure_loop(
    spawn: Spawn, tmp_path: Path, module: str, reason: str
) -> None:
    (tmp_path / "pyproc_native.py").write_text(module)
    host = spawn(PRELUDE, core="auto", python_path=[str(tmp_path)])
    assert not host.welcome()["package"]["native"]
    assert host.call("echo", 1) == 1
    host.send(Kind.GOODBYE)
    _, _, err = host.wait()
    # Nobody who has not installed it is told about it.
    assert (reason in err) == ("ModuleNotFoundError" not in module)


def test_messagepack_needs_no_package_beside_the_core(ready: Spawn, core: str) -> None:
    if core == "pure":
        pytest.skip("the pure loop has no codec of its own for it")
    host = ready(
        "import sys\n"
        "for name in ('msgspec', 'ormsgpack', 'msgpack'): sys.modules[name] = None\n" + PRELUDE,
        codec="msgpack",
    )
    host.request(1, "echo", b"\x81\xa1a\x93\x01\xc0\xc4\x01\xff")
    assert host.expect(Kind.REPLY)[6] == b"\x81\xa1a\x93\x01\xc0\xc4\x01\xff"


def test_a_codec_of_the_users_own_takes_the_name_of_another(ready: Spawn) -> None:
    host = ready(
        PRELUDE + "register_codec('json', lambda v: b'mine:' + v, lambda b: b + b'?')\n",
        codec="json",
    )
    host.request(1, "echo", b"x")
    assert host.expect(Kind.REPLY)[6] == b"mine:x?"


def test_large_bytes_anywhere_in_a_result_keep_their_places(ready: Spawn) -> None:
    msgspec = pytest.importorskip("msgspec")
    host = ready(PRELUDE, codec="msgpack")
    value = {
        "first": b"1" * 100_000,
        "small": [b"2", "text", {"inner": b"3" * 65_536}],
        "last": [b"4" * 200_000, b"5" * 70_000, None],
    }
    for call in range(1, 10, 2):
        # The small one is there when the large one is answered, and neither may hold the other up.
        host.request(call, "echo", msgspec.msgpack.encode(value))
        host.request(call + 1, "echo", msgspec.msgpack.encode(call))
        for expected in (value, call):
            assert msgspec.msgpack.decode(host.expect(Kind.REPLY)[6]) == expected


def test_a_log_record_never_lands_within_a_reply_of_several_pieces(ready: Spawn) -> None:
    msgspec = pytest.importorskip("msgspec")
    host = ready(
        PRELUDE
        + """
import logging, threading
def talk():
    while True:
        logging.warning("one of many")
        time.sleep(0.001)
@on_start
def begin(): threading.Thread(target=talk, daemon=True).start()
@expose
def two(): return [b"x" * 3_000_000, b"y" * 3_000_000]
""",
        codec="msgpack",
    )
    records = 0
    for call in range(1, 6):
        host.request(call, "two", b"\x80")
        # The socket is full meanwhile: the worker waits within its reply, and the thread goes on.
        time.sleep(0.1)
        while (frame := host.read()) is not None and frame[0] == Kind.LOG:
            assert json.loads(frame[6])["message"] == "one of many"
            records += 1
        assert frame is not None, "the worker closed the connection"
        assert (frame[0], frame[3]) == (Kind.REPLY, call)
        assert msgspec.msgpack.decode(frame[6]) == [b"x" * 3_000_000, b"y" * 3_000_000]
    assert records


def test_a_large_result_that_does_not_fit_leaves_nothing_in_the_stream(ready: Spawn) -> None:
    msgspec = pytest.importorskip("msgspec")
    source = "@expose\ndef twice(x): return [x, x]\n@expose\ndef no(x): return [x, object()]\n"
    host = ready(PRELUDE + source, codec="msgpack", max_frame=300_000)
    body = msgspec.msgpack.encode(b"x" * 200_000)
    for call, name, status in ((1, "twice", Status.TOO_LARGE), (2, "no", Status.INVALID_RESULT)):
        host.request(call, name, body)
        assert host.failed()[:2] == (call, status)
    host.request(3, "echo", body)
    assert host.expect(Kind.REPLY)[6] == body


def test_sigterm_while_the_worker_looks_for_requests_is_not_lost(ready: Spawn) -> None:
    host = ready(PRELUDE + "@on_stop\ndef bye(): print('stopped')\n", spin_us=50_000)
    for call in range(1, 20):  # By now looking pays, and the worker does so.
        assert host.call("echo", call, call=call) == call
    host.process.send_signal(signal.SIGTERM)
    assert [frame[0] for frame in iter(host.read, None)] == [Kind.DRAIN, Kind.GOODBYE]
    assert host.wait() == (0, "stopped\n", "")


@pytest.mark.parametrize("spin_us", [0, 20_000])
def test_a_handler_of_the_users_runs_while_the_worker_waits(
    ready: Spawn, tmp_path: Path, spin_us: int
) -> None:
    seen = tmp_path / "seen"
    host = ready(
        PRELUDE
        + f"""
def handle(number, frame):
    with open({str(seen)!r}, "a") as file: file.write("x")
signal.signal(signal.SIGUSR1, handle)
""",
        spin_us=spin_us,
    )
    for count in range(1, 4):
        assert host.call("echo", count, call=count) == count
        host.process.send_signal(signal.SIGUSR1)
        give_up = time.monotonic() + TIMEOUT_SECONDS
        while not seen.exists() or len(seen.read_text()) < count:
            assert time.monotonic() < give_up
            time.sleep(0.001)


def test_a_handler_that_logs_while_its_thread_writes_neither_waits_nor_tears_the_reply(
    ready: Spawn,
) -> None:
    host = ready(
        PRELUDE
        + """
import logging
signal.signal(signal.SIGUSR1, lambda *_: logging.warning("y" * 60_000))
@expose
def large(x): return "x" * 8_000_000
"""
    )
    host.request(1, "large")
    # The worker is within its write now: the socket has no room for all of it.
    assert host.socket.recv(4, 0x2) != b""  # MSG_PEEK
    time.sleep(0.05)
    for _ in range(30):  # More than may wait to be written.
        host.process.send_signal(signal.SIGUSR1)
        time.sleep(0.005)
    assert host.expect(Kind.REPLY)[6] == b'"' + b"x" * 8_000_000 + b'"'
    frame = host.expect(Kind.LOG)
    assert json.loads(frame[6])["message"] == "y" * 60_000
    assert host.call("echo", 1, call=2) == 1


def test_records_of_threads_and_replies_under_load_stay_whole(ready: Spawn) -> None:
    host = ready(
        PRELUDE
        + """
import logging, threading
stop = False
def chatter(number):
    while not stop: logging.info("%d " % number + "z" * (number * 700))
@expose
def start(x):
    for number in range(4): threading.Thread(target=chatter, args=(number,)).start()
@expose
def end(x):
    global stop
    stop = True
""",
        spin_us=100,
    )
    host.call("start", call=1)
    records = 0
    answered: list[int] = []

    def read_reply() -> None:
        nonlocal records
        while True:
            frame: Any = host.read()
            if frame[0] == Kind.LOG:
                message = json.loads(frame[6])["message"]
                number = message[:1]
                assert message == f"{number} " + "z" * (int(number) * 700) or "lost" in message
                records += 1
                continue
            assert frame[0] == Kind.REPLY, frame
            assert json.loads(frame[6]) == frame[3]
            answered.append(frame[3])
            return

    for first in range(2, 2000, 100):
        calls = range(first, first + 100)
        index = host.functions["echo"]
        frames = [encode_frame(Kind.REQUEST, b"%d" % i, index=index, call=i) for i in calls]
        host.socket.sendall(b"".join(frames))
        for _ in calls:
            read_reply()
    assert answered == list(range(2, 2002))
    assert records > 0
    host.request(3000, "end")
    host.expect(Kind.REPLY)


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="no /proc")
def test_an_idle_worker_that_may_look_burns_nothing(ready: Spawn) -> None:
    host = ready(PRELUDE, spin_us=100)

    def run_ns() -> int:
        return int(Path(f"/proc/{host.process.pid}/schedstat").read_text().split()[0])

    for call in range(1, 1000):
        host.call("echo", call, call=call)
    time.sleep(0.1)
    before = run_ns()
    time.sleep(0.5)
    assert run_ns() - before < 5_000_000


def test_a_caller_alone_is_answered_for_longer_than_any_buffer_lasts(ready: Spawn) -> None:
    host = ready(PRELUDE, spin_us=100)
    body = b'"' + b"x" * 1000 + b'"'
    for call in range(1, 1000):
        host.request(call, "echo", body)
        assert host.expect(Kind.REPLY)[6] == body
