"""When a worker looks for requests without blocking, and when it leaves that."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from pyproc._lane import Lane
from pyproc._signals import StopSignal
from pyproc._spin import MAX_DISTANCE, Spin


def looks(spin: Spin, waits: int, succeeds: Callable[[int], bool]) -> list[int]:
    """Return in which of so many waits the policy looked, where `succeeds` says how it went."""
    looked = []
    for wait in range(waits):
        if spin.budget_ns():
            looked.append(wait)
            if succeeds(wait):
                spin.hit()
            else:
                spin.miss()
    return looked


def test_nobody_looks_where_the_host_says_so() -> None:
    assert looks(Spin(0), 1000, lambda _: True) == []


def test_it_looks_for_as_long_as_it_pays() -> None:
    assert len(looks(Spin(100), 1000, lambda _: True)) == 1000
    assert len(looks(Spin(100), 1000, lambda wait: wait % 4 != 0)) == 1000


def test_looks_in_vain_become_rare() -> None:
    looked = looks(Spin(100), 100_000, lambda _: False)
    assert len(looked) < 120
    distances = [after - before for before, after in pairwise(looked)]
    assert distances == sorted(distances)
    assert distances[-1] == MAX_DISTANCE + 1


def test_looks_that_fail_more_often_than_not_are_rare() -> None:
    assert len(looks(Spin(100), 10_000, lambda wait: wait % 3 == 0)) < 500


def test_it_comes_back_when_it_pays_again() -> None:
    spin = Spin(100)
    looks(spin, 100_000, lambda _: False)
    looked = looks(spin, MAX_DISTANCE + 100, lambda _: True)
    assert len(looked) >= 100
    # A single failure does not count for much then.
    spin.miss()
    assert spin.budget_ns()


@pytest.fixture
def ends() -> Iterator[tuple[Lane, socket.socket, StopSignal]]:
    ours, theirs = socket.socketpair()
    stop = StopSignal()
    lane = Lane(ours, stop)
    yield lane, theirs, stop
    lane.abandon()
    theirs.close()
    stop.close()


def test_a_signal_ends_a_look(ends: tuple[Lane, socket.socket, StopSignal]) -> None:
    lane, _, stop = ends
    stop.request()
    # Years, where nothing but the signal could end it.
    assert lane.read(memoryview(bytearray(8)), Spin(10**18)) is None


def test_what_arrives_during_a_look_is_read(ends: tuple[Lane, socket.socket, StopSignal]) -> None:
    lane, host, _ = ends
    room = memoryview(bytearray(8))
    child = os.fork()
    if not child:
        # Both sides may share one core: the one that looks has to make way.
        host.send(b"late")
        os._exit(0)
    assert lane.read(room, Spin(10**18)) == 4
    assert bytes(room[:4]) == b"late"
    os.waitpid(child, 0)
