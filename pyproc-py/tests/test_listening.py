"""A worker that listens: any number of connections, either protocol on each."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from host import PACKAGE, TIMEOUT_SECONDS, Wire
from listening import JsonHost, connect, connect_json
from test_worker import PRELUDE, gate, wait_for

from pyproc._protocol import Flag, Kind, Status, encode_frame

Start = Callable[..., "Listening"]


class Listening:
    """A worker started by `python -m pyproc`."""

    def __init__(self, source: str, directory: Path, *options: str) -> None:
        script = directory / "app.py"
        script.write_text(source)
        self.path = str(directory / "worker.sock")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pyproc", str(script), "--socket", self.path, *options],
            env={**os.environ, "PYTHONPATH": str(PACKAGE)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def json(self) -> JsonHost:
        return connect_json(self.path, self.process)

    def binary(self) -> Wire:
        wire = Wire(connect(self.path, self.process))
        wire.hello(deadline_clock="remaining")
        wire.expect(Kind.WELCOME)
        return wire

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=TIMEOUT_SECONDS)
        return self.process.returncode, out, err


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Listening] = []

    def start(source: str = PRELUDE + ECHO, *options: str) -> Listening:
        started.append(Listening(source, tmp_path, *options))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


ECHO = "@expose\ndef echo(x): return x\n"


def test_three_connections_of_two_protocols_are_answered_interleaved(start: Start) -> None:
    worker = start()
    first, second, third = worker.json(), worker.json(), worker.binary()
    for round in range(1, 50):
        first.send({"id": round, "method": "echo", "body": ["first", round]})
        third.send(Kind.REQUEST, json.dumps(["third", round]).encode(), call=round)
        second.send({"id": round, "method": "echo", "body": ["second", round]})
        assert second.read() == {"id": round, "ok": True, "body": ["second", round]}
        assert json.loads(third.expect(Kind.REPLY)[6]) == ["third", round]
        assert first.read() == {"id": round, "ok": True, "body": ["first", round]}
    for each in (first, second, third):
        each.socket.close()
    assert worker.stop() == (0, "", "")


def test_slow_silent_and_broken_connections_hold_up_nobody(start: Start) -> None:
    worker = start()
    silent, slow, broken, gone, good = (connect(worker.path, worker.process) for _ in range(5))
    request = encode_frame(Kind.HELLO, b'{"protocol":1,"codec":"json"}')
    slow.sendall(request[:7])
    broken.sendall(b"\xff" * 100)
    gone.sendall(b'\0\0\0\x40{"id":1')
    gone.close()
    with closing(JsonHost(good)) as host:
        assert host.call("echo", 1) == 1
        broken.settimeout(TIMEOUT_SECONDS)
        assert broken.recv(1) == b""
        for byte in request[7:]:
            slow.sendall(bytes([byte]))
        assert Wire(slow).expect(Kind.WELCOME)
        assert host.call("echo", 2) == 2
    for each in (silent, slow, broken):
        each.close()
    code, _, err = worker.stop()
    assert code == 0
    assert "a host broke the protocol and is left: a frame of 4294967295 bytes" in err


def test_a_host_that_does_not_read_holds_up_nobody(start: Start) -> None:
    worker = start(PRELUDE + ECHO + "@expose\ndef large(x): return 'x' * 8_000_000\n")
    greedy = worker.json()
    for call in range(20):
        greedy.send({"id": call, "method": "large"})
    with closing(worker.json()) as host:
        for _ in range(10):
            assert host.call("echo", 1) == 1
    for call in range(20):
        assert greedy.read()["id"] == call
    greedy.socket.close()


def test_connections_take_turns(start: Start, tmp_path: Path) -> None:
    worker = start(gate(tmp_path))
    busy, other = worker.json(), worker.json()
    busy.send({"id": 0, "method": "hold", "body": 0})
    wait_for(tmp_path / "running")
    requests = [json.dumps({"id": call, "method": "echo"}).encode() for call in range(1, 2000)]
    # In one piece: many small ones would fill the socket before the worker reads again.
    busy.socket.sendall(b"".join(len(each).to_bytes(4, "big") + each for each in requests))
    other.send({"id": 1, "method": "echo", "body": "soon"})
    (tmp_path / "go").touch()
    assert other.read()["body"] == "soon"
    assert [busy.read()["id"] for _ in range(2000)] == list(range(2000))
    busy.socket.close()
    other.socket.close()


def test_the_json_protocol_from_the_origins_page(start: Start) -> None:
    worker = start(PRELUDE + ECHO + "@expose\ndef fail(req): raise ValueError('bad')\n")
    with closing(worker.json()) as host:
        health = host.call("health", {})
        assert health == {"status": "healthy", "pid": worker.process.pid}
        host.send(b' {"id": 12345, "method": "echo"}')
        assert host.read() == {"id": 12345, "ok": True, "body": {}}
        host.send({"id": 1, "method": "ecko"})
        assert host.read() == {
            "id": 1,
            "ok": False,
            "error": "function `ecko` is not exposed (did you mean `echo`?)",
            "error_type": "function_not_found",
        }
        host.send({"id": 2, "method": "fail"})
        failed = host.read()
        assert (failed["error"], failed["error_type"]) == ("bad", "ValueError")
        assert failed["traceback"].endswith("ValueError: bad\n")
        host.send({"method": "echo"})
        assert (host.read()["id"], host.call("echo", 1)) == (0, 1)
        for body, reason in (
            (b'{"a":NaN}', "$.body.a: JSON has no NaN"),
            (b"[" * 10_000, "the body is nested too deeply"),
        ):
            host.send(b'{"id":3,"method":"echo","body":' + body + b"}")
            answer = host.read()
            assert (answer["id"], answer["error_type"]) == (0, "invalid_request")
            assert answer["error"].startswith(reason)
        host.send(b'{"id":3,"method":"echo","body":{"a":1,"a":2}}')
        answer = host.read()
        assert (answer["id"], answer["error_type"]) == (3, "invalid_body")
        assert answer["error"] == "$.a: the key appears twice"


def test_a_host_that_only_stops_writing_still_gets_its_answers(
    start: Start, tmp_path: Path
) -> None:
    worker = start(gate(tmp_path))
    host = worker.json()
    host.send({"id": 1, "method": "hold", "body": "answer"})
    host.send({"id": 2, "method": "echo", "body": 2})
    host.socket.shutdown(socket.SHUT_WR)
    wait_for(tmp_path / "running")
    (tmp_path / "go").touch()
    assert [host.read()["id"], host.read()["id"], host.read()] == [1, 2, None]
    host.socket.close()


def test_a_refused_handshake_closes_only_its_connection(start: Start) -> None:
    worker = start()
    wire = Wire(connect(worker.path, worker.process))
    wire.hello(codec="arrow")
    assert wire.expect(Kind.ERROR)[2] == Status.UNSUPPORTED_CODEC
    assert wire.read() is None
    wire.close()
    with closing(worker.json()) as host:
        assert host.call("echo", 1) == 1


def test_the_drain_of_one_host_leaves_the_others_alone(start: Start) -> None:
    worker = start()
    wire, other = worker.binary(), worker.binary()
    wire.send(Kind.REQUEST, b"1", call=1)
    wire.send(Kind.DRAIN)
    assert [wire.expect(Kind.REPLY)[3], wire.expect(Kind.GOODBYE)[3], wire.read()] == [1, 0, None]
    other.send(Kind.REQUEST, b"2", call=1)
    assert other.expect(Kind.REPLY)
    wire.close()
    other.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(start: Start, tmp_path: Path, number: int) -> None:
    worker = start(gate(tmp_path) + "@on_stop\ndef bye(): print('stopped')\n")
    person, wire = worker.json(), worker.binary()
    person.send({"id": 1, "method": "hold", "body": 1})
    wait_for(tmp_path / "running")
    person.send({"id": 2, "method": "echo", "body": 2})
    wire.send(Kind.REQUEST, b"3", index=1, call=3)
    worker.process.send_signal(number)
    (tmp_path / "go").touch()
    assert [person.read()["body"], person.read()["body"], person.read()] == [1, 2, None]
    kinds = [frame[0] for frame in iter(wire.read, None)]
    assert sorted(kinds) == [Kind.REPLY, Kind.DRAIN, Kind.GOODBYE]
    out, err = worker.process.communicate(timeout=TIMEOUT_SECONDS)
    assert (worker.process.returncode, out, err) == (0, "stopped\n", "")
    assert not Path(worker.path).exists()
    person.socket.close()
    wire.close()


def test_a_fork_that_returns_does_not_answer_twice(start: Start) -> None:
    worker = start(
        PRELUDE
        + """
@expose
def fork(x):
    pid = os.fork()
    return os.waitpid(pid, 0)[1] if pid else "child"
"""
    )
    with closing(worker.json()) as host:
        assert host.call("fork", 1) == 0
        assert host.call("fork", 1) == 0
    assert Path(worker.path).exists()
    assert worker.stop() == (0, "", "")
    assert not Path(worker.path).exists()


def test_sys_exit_removes_the_socket(start: Start) -> None:
    worker = start(PRELUDE + "@expose\ndef leave(x): sys.exit(7)\n")
    with closing(worker.json()) as host:
        host.send({"id": 1, "method": "leave"})
        assert host.read() is None
    assert worker.process.wait(TIMEOUT_SECONDS) == 7
    assert not Path(worker.path).exists()


def test_the_socket_is_for_this_user_alone(start: Start) -> None:
    worker = start()
    with closing(worker.json()):
        assert Path(worker.path).stat().st_mode & 0o777 == 0o600


def test_a_stale_socket_is_replaced(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(tmp_path / "worker.sock"))
    with closing(start().json()) as host:
        assert host.call("echo", 1) == 1


def test_a_path_where_somebody_listens_is_left_alone(start: Start, tmp_path: Path) -> None:
    with closing(start().json()) as host:
        second = start()
        _, err = second.process.communicate(timeout=TIMEOUT_SECONDS)
        assert second.process.returncode == 1
        assert err.endswith("worker.sock: another process listens there\n")
        assert host.call("echo", 1) == 1


def test_an_async_function_is_refused_where_it_cannot_be_served(start: Start) -> None:
    worker = start(PRELUDE + "@expose\nasync def f(x): return x\n")
    _, err = worker.process.communicate(timeout=TIMEOUT_SECONDS)
    assert worker.process.returncode == 1
    assert "is async, which a worker that listens does not serve" in err
    assert "app.py:3)" in err


def test_a_file_that_is_no_socket_is_left_alone(start: Start, tmp_path: Path) -> None:
    (tmp_path / "worker.sock").write_text("precious")
    worker = start()
    _, err = worker.process.communicate(timeout=TIMEOUT_SECONDS)
    assert worker.process.returncode == 1
    assert err.endswith("there is something that is not a socket\n")
    assert (tmp_path / "worker.sock").read_text() == "precious"


def test_what_another_worker_has_put_in_our_place_is_not_removed(
    start: Start, tmp_path: Path
) -> None:
    worker = start()
    with closing(worker.json()):
        os.unlink(worker.path)
        Path(worker.path).write_text("not ours")
    assert worker.stop()[0] == 0
    assert Path(worker.path).read_text() == "not ours"


def test_a_request_that_waits_in_the_line_counts_as_queued(start: Start, tmp_path: Path) -> None:
    worker = start(gate(tmp_path))
    busy = worker.json()
    busy.send({"id": 1, "method": "hold", "body": 1})
    wait_for(tmp_path / "running")
    waiting = [worker.json() for _ in range(3)]
    for host in waiting:
        host.send({"id": 2, "method": "echo", "body": 2})
    worker.process.send_signal(signal.SIGTERM)
    (tmp_path / "go").touch()
    for host in (busy, *waiting):
        assert host.read()["ok"]
        assert host.read() is None
        host.close()


def test_a_worker_that_ran_out_of_descriptors_hears_again(start: Start, tmp_path: Path) -> None:
    worker = start(
        PRELUDE
        + ECHO
        + f"""
import resource, socket, threading
def served():
    # Whether the worker has answered a request, and has closed that connection again.
    request = b'{{"id": 1, "method": "health"}}'
    with socket.socket(socket.AF_UNIX) as probe:
        try: probe.connect({str(tmp_path / "worker.sock")!r})
        except OSError: return False
        probe.sendall(len(request).to_bytes(4, "big") + request)
        probe.shutdown(socket.SHUT_WR)
        while probe.recv(4096): pass
    return True
def take_all():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    while not served(): time.sleep(0.001)
    taken = []
    try:
        while True: taken.append(os.open("/dev/null", 0))
    except OSError: os.mkdir({str(tmp_path / "taken")!r})
    while not os.path.exists({str(tmp_path / "go")!r}): time.sleep(0.001)
    for each in taken: os.close(each)
threading.Thread(target=take_all, daemon=True).start()
"""
    )
    give_up = time.monotonic() + TIMEOUT_SECONDS
    while not (tmp_path / "taken").exists():
        assert time.monotonic() < give_up
        time.sleep(0.002)
    with closing(worker.json()) as host:
        assert worker.process.stderr is not None
        assert "cannot accept a connection" in worker.process.stderr.readline()
        (tmp_path / "go").touch()
        assert host.call("echo", 1) == 1


def test_the_second_ctrl_c_ends_a_worker_that_runs(start: Start, tmp_path: Path) -> None:
    worker = start(gate(tmp_path))
    with closing(worker.json()) as host:
        host.send({"id": 1, "method": "hold", "body": 1})
        wait_for(tmp_path / "running")
        worker.process.send_signal(signal.SIGINT)
        give_up = time.monotonic() + TIMEOUT_SECONDS
        while worker.process.poll() is None:
            assert time.monotonic() < give_up
            time.sleep(0.01)
            worker.process.send_signal(signal.SIGINT)
        assert worker.process.returncode == -signal.SIGINT


def test_only_the_body_is_to_blame_for_what_is_in_it(start: Start) -> None:
    with closing(start().json()) as host:
        host.send(b'{"id":3,"method":"echo","bodyguard":{"a":1,"a":2}}')
        answer = host.read()
        assert (answer["id"], answer["error_type"]) == (3, "invalid_request")
        assert answer["error"] == "$.bodyguard.a: the key appears twice"
        host.send({"id": 1.5, "method": "echo"})
        assert host.read()["error"].endswith("an integer from 0 to 18446744073709551615")


TIDY = """
@expose
def tidy(log):
    try:
        while True:
            yield 1
    finally:
        with open(log, "a") as file:
            file.write("closed\\n")
"""


def open_stream(worker: Listening, log: Path) -> Wire:
    """Ask for a stream, and read the one item that it may send."""
    wire = worker.binary()
    body = json.dumps(str(log)).encode()
    wire.send(Kind.REQUEST, body, call=1, index=0, flags=Flag.WANTS_STREAM)
    wire.send(Kind.CREDIT, (1).to_bytes(4, "big"), call=1)
    wire.expect(Kind.STREAM_ITEM)
    return wire


def test_the_streams_of_a_host_that_goes_are_closed(start: Start, tmp_path: Path) -> None:
    worker = start(PRELUDE + TIDY)
    log = tmp_path / "log"
    wire = open_stream(worker, log)
    wire.close()
    assert wait_for(log) == "closed\n"
    with closing(worker.json()) as other:
        assert other.call("health")["status"] == "healthy"


def test_the_streams_of_a_host_that_says_no_more_are_closed(start: Start, tmp_path: Path) -> None:
    worker = start(PRELUDE + TIDY)
    log = tmp_path / "log"
    wire = open_stream(worker, log)
    wire.socket.shutdown(socket.SHUT_WR)
    frame = wire.expect(Kind.ERROR)
    assert (frame[2], frame[3]) == (Status.CANCELLED, 1)
    assert log.read_text() == "closed\n"
    wire.expect(Kind.GOODBYE)
    wire.close()
    assert worker.stop()[0] == 0


BATCHES = (
    PRELUDE
    + """
batches = []

@expose(batch=4)
def double(numbers: list[int]):
    batches.append(numbers)
    return [2 * number for number in numbers]

@expose(batch=3, max_wait=600)
def patient(xs):
    return [xs] * len(xs)

@expose
def seen():
    return batches
"""
)


@pytest.mark.parametrize("protocol", ["json", "binary"])
def test_calls_of_one_connection_are_run_in_batches(
    start: Start, tmp_path: Path, protocol: str
) -> None:
    worker = start(gate(tmp_path) + BATCHES)
    with (
        closing(worker.binary()) as host,
        closing(worker.json()) as other,
        closing(worker.json()) as json_host,
    ):
        other.send({"id": 1, "method": "hold"})
        wait_for(tmp_path / "running")
        for call in (1, 2, 3):
            if protocol == "json":
                json_host.send({"id": call, "method": "double", "body": call})
            else:
                host.send(Kind.REQUEST, b"%d" % call, index=2, call=call)
        (tmp_path / "go").touch()
        assert other.read()["ok"]
        for call in (1, 2, 3):
            if protocol == "json":
                assert json_host.read() == {"id": call, "ok": True, "body": 2 * call}
            else:
                assert json.loads(host.expect(Kind.REPLY)[6]) == 2 * call
        assert [1, 2, 3] in other.call("seen", {})
        # Who waits for company keeps nobody else waiting.
        json_host.send({"id": 9, "method": "patient", "body": 9})
        assert other.call("echo", 1) == 1
        assert json_host.read() == {"id": 9, "ok": True, "body": [9]}
        for call in (10, 11, 12):
            json_host.send({"id": call, "method": "patient", "body": call})
        for call in (10, 11, 12):
            assert json_host.read() == {"id": call, "ok": True, "body": [10, 11, 12]}


TOTAL = """
from collections.abc import Iterator

@expose
def total(items: Iterator[int]):
    try:
        return sum(items)
    except ConnectionError as error:
        with open("/dev/stderr", "a") as file:
            file.write(type(error).__name__ + "\\n")
        raise
"""


def open_items(worker: Listening) -> Wire:
    """Call with items, and wait until the function asks for them."""
    wire = worker.binary()
    wire.send(Kind.REQUEST, b"{}", call=1, index=0, flags=Flag.ITEMS_FOLLOW)
    wire.expect(Kind.CREDIT)
    return wire


def test_items_of_an_argument_come_while_its_function_runs(start: Start) -> None:
    worker = start(PRELUDE + TOTAL)
    wire = open_items(worker)
    with closing(worker.json()) as other:
        # It has its turn when the function has returned.
        other.send(b'{"id":3,"method":"health"}')
        for value in (1, 2, 3):
            wire.send(Kind.STREAM_ITEM, str(value).encode(), call=1)
        wire.send(Kind.STREAM_END, call=1)
        assert wire.expect(Kind.REPLY)[6] == b"6"
        assert other.read()["ok"]
    wire.close()


@pytest.mark.parametrize("how", ["gone", "half closed", "wrong"])
def test_a_function_that_waits_for_a_host_that_goes_ends(start: Start, how: str) -> None:
    worker = start(PRELUDE + TOTAL)
    wire = open_items(worker)
    if how == "gone":
        wire.close()
    elif how == "half closed":
        wire.socket.shutdown(socket.SHUT_WR)
        assert wire.expect(Kind.ERROR)[2] == Status.EXCEPTION
    else:
        wire.send(Kind.STREAM_ITEM, b"1", call=1, index=7)
    with closing(worker.json()) as other:
        assert other.call("health")["status"] == "healthy"
    wire.close()
    code, _, err = worker.stop()
    assert (code, "Error" in err) == (0, True)
    assert ("broke the protocol" in err) == (how == "wrong")


def test_a_host_that_goes_in_the_turn_of_its_stream_takes_nobody_with_it(
    start: Start, tmp_path: Path
) -> None:
    worker = start(
        gate(tmp_path)
        + """
import pyproc._loop_listening

# Nothing is read between the calls of one turn, however long they take.
pyproc._loop_listening.QUICK_NS = 10**12

@expose
def slow(x):
    while True:
        time.sleep(0.001)
        yield x
"""
    )
    host = worker.binary()
    host.socket.sendall(
        encode_frame(Kind.REQUEST, b"1", call=1, index=2, flags=Flag.WANTS_STREAM)
        + encode_frame(Kind.CREDIT, (1 << 20).to_bytes(4, "big"), call=1)
        + encode_frame(Kind.REQUEST, b"1", call=2, index=0)
    )
    wait_for(tmp_path / "running")
    host.close()
    (tmp_path / "go").touch()
    with closing(worker.json()) as other:
        assert other.call("health")["status"] == "healthy"
