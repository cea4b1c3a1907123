"""What the loops and the runner do in between calls."""

from __future__ import annotations

import socket
import time
from contextvars import copy_context

from host import Wire

from pyproc._connection_binary import BinaryConnection
from pyproc._context import now_ns
from pyproc._dispatch import QUICK_NS, Dispatcher
from pyproc._fork import ForkGuard
from pyproc._handshake import Hello
from pyproc._lane import Lane
from pyproc._loop_sync import SyncLoop
from pyproc._protocol import Kind, Status
from pyproc._registry import Registry
from pyproc._request import Request
from pyproc._runner import Runner
from pyproc._signals import StopSignal

HELLO = Hello.parse(b'{"protocol":1,"codec":"json"}')


def test_what_crossed_the_drain_is_refused_before_the_loop_ends() -> None:
    ours, theirs = socket.socketpair()
    wire = Wire(theirs)
    stop = StopSignal()
    lane = Lane(ours, stop)
    guard = ForkGuard()
    dispatcher = Dispatcher(Registry())
    connection = BinaryConnection()
    connection.open(HELLO, dispatcher.functions)
    connection.is_draining = True
    wire.send(Kind.REQUEST, b"{}", call=1)
    SyncLoop(lane, connection, dispatcher, stop, guard).run()
    # The stop hooks, which may take long, come only now.
    wire.expect(Kind.WELCOME)
    assert wire.expect(Kind.ERROR)[2] == Status.DRAINING
    lane.close()
    wire.close()
    stop.close()
    guard.close()


def test_a_slow_write_makes_no_function_slow() -> None:
    guard = ForkGuard()
    dispatcher = Dispatcher(Registry())
    connection = BinaryConnection()
    connection.open(HELLO, dispatcher.functions)
    runner = Runner(dispatcher, guard, lambda: time.sleep(20 * QUICK_NS / 1e9))
    for call in range(1, 4):  # The first one may be slow for reasons of its own.
        dispatcher.functions[0].is_quick = False
        request = Request(connection, call, 0, b"{}", None, ())
        # A loop says when no call runs any more; a runner does not.
        copy_context().run(runner.run, request, now_ns())
    assert dispatcher.functions[0].is_quick
    guard.close()
