"""The parts of a worker that listens: its socket file, its signals, its connections."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest
from host import Wire
from listening import JsonHost

from pyproc import PyprocError, _listen
from pyproc._accepted import Accepted
from pyproc._listener import Listener
from pyproc._protocol import Kind, Status
from pyproc._registry import Registry


def test_a_listener_that_closes_twice_leaves_its_successor_alone(tmp_path: Path) -> None:
    path = str(tmp_path / "worker.sock")
    first = Listener(path)
    first.close()
    second = Listener(path)
    # As where the file system gives the inode out again.
    first._identity = second._identity
    first.close()
    assert os.path.exists(path)
    second.close()
    assert not os.path.exists(path)


def test_a_file_that_cannot_be_removed_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise PermissionError(path)

    listener = Listener(str(tmp_path / "worker.sock"))
    monkeypatch.setattr(os, "unlink", refuse)
    listener.close()
    assert listener.socket.fileno() == -1


def test_signals_are_handled_before_the_socket_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[object] = []

    def listener(path: str) -> Listener:
        found.append(signal.getsignal(signal.SIGTERM))
        raise PyprocError("enough")

    monkeypatch.setattr(_listen, "Listener", listener)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(PyprocError, match="enough"):
        _listen.listen("nowhere")
    assert found != [before]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_connection_that_shows_its_protocol_after_the_drain_is_refused_its_requests() -> None:
    ours, theirs = socket.socketpair()
    accepted = Accepted(ours, Registry().complete())
    host = JsonHost(theirs)
    accepted.drain()
    host.send({"id": 1, "method": "health"})
    accepted.read()
    accepted.write()
    assert not accepted.has_work
    assert host.read()["error_type"] == "draining"
    accepted.close()
    host.close()


def test_nothing_follows_a_goodbye() -> None:
    ours, theirs = socket.socketpair()
    accepted = Accepted(ours, Registry().complete())
    wire = Wire(theirs)
    wire.hello(deadline_clock="remaining")
    accepted.read()
    accepted.drain()
    wire.send(Kind.REQUEST, json.dumps({}).encode(), call=1)
    accepted.read()
    accepted.say_goodbye()
    wire.send(Kind.REQUEST, json.dumps({}).encode(), call=2)
    accepted.read()
    accepted.write()
    accepted.close()
    wire.expect(Kind.WELCOME)
    wire.expect(Kind.DRAIN)
    assert wire.expect(Kind.ERROR)[2] == Status.DRAINING
    wire.expect(Kind.GOODBYE)
    assert wire.read() is None
    wire.close()
