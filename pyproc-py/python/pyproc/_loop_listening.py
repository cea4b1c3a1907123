"""Runs the calls of any number of connections, one after the other."""

from __future__ import annotations

import sys
from collections import deque
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector

from ._accepted import Accepted
from ._context import now_ns, running_request
from ._dispatch import QUICK_NS
from ._loop_sync import is_patient
from ._protocol import ProtocolError
from ._runner import Runner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._batch import Batching
    from ._dispatch import Dispatcher
    from ._fork import ForkGuard
    from ._listener import Listener
    from ._request import Request
    from ._signals import StopSignal

FAREWELL_NS = 5_000_000_000
"""How long the last replies wait, at the end, for hosts that do not read."""

FULL_SECONDS = 0.1
"""How long a worker that may open no more connections waits before it tries again."""


class ListeningLoop:
    """Accepts, reads, runs, and writes, in one thread.

    No connection waits for bytes of another one; for the end of a call of another one it does.
    Connections take turns, so that one with many requests does not keep the others waiting.
    """

    def __init__(
        self, listener: Listener, dispatcher: Dispatcher, stop: StopSignal, guard: ForkGuard
    ) -> None:
        self._listener = listener
        self._functions = dispatcher.functions
        self._stop = stop
        self._runner = Runner(dispatcher, guard, self._write, gather=self._gather)
        self._accepted: set[Accepted] = set()
        self._ready: deque[Accepted] = deque()
        self._is_draining = False
        self._is_full = False
        """Whether nothing is accepted for a while."""
        self._was_full = False
        """Whether the last attempt to accept a connection failed, and this was said."""
        self._retry_at_ns = 0
        self._is_patient = is_patient(dispatcher.functions)
        self._woken_ns = 0
        """When something came last that was waited for."""
        self._running: Accepted | None = None
        """The connection whose turn it is."""
        self._selector = DefaultSelector()
        self._selector.register(stop.fileno(), EVENT_READ)
        self._selector.register(listener.socket, EVENT_READ)
        guard.add(self._abandon)

    def run(self) -> None:
        """Answer requests until a signal asks to stop, and then those that are queued."""
        now = turn_began = now_ns()
        while True:
            if self._stop.requested and not self._is_draining:
                self._drain()
            if self._ready and now - turn_began < QUICK_NS:
                now = self._run_next(now)
                continue
            running_request.set(None)
            if self._is_patient and not self._ready and now > turn_began:
                # What has come meanwhile has waited already, and did not find the worker idle.
                self._turn(wait=False)
                turn_began = now
                if self._ready:
                    continue
            self._write()
            if self._is_draining and not self._ready and not self._has_streams:
                return
            was_idle = not self._ready
            self._turn(wait=was_idle)
            now = turn_began = now_ns()
            if was_idle:
                self._woken_ns = now

    def say_goodbye(self) -> None:
        """Close all connections in good order; a host that does not read is waited for briefly."""
        # What came after the drain is refused rather than left unanswered.
        self._turn(wait=False)
        for each in self._accepted:
            each.say_goodbye()
        give_up = now_ns() + FAREWELL_NS
        self._write()
        while any(each.wants_to_write for each in self._accepted) and now_ns() < give_up:
            self._turn(wait=True, timeout=(give_up - now_ns()) / 1e9)
            self._write()

    def close(self) -> None:
        """Close everything, and remove the socket's file."""
        self._listener.close()
        for each in list(self._accepted):
            self._drop(each)
        self._selector.close()

    @property
    def _has_streams(self) -> bool:
        return any(each.has_streams for each in self._accepted)

    def _run_next(self, now: int) -> int:
        accepted = self._running = self._ready.popleft()
        now = accepted.run_next(self._runner, now)
        if accepted.has_work:
            self._ready.append(accepted)
        return now

    def _gather(self, first: Request, batching: Batching) -> None:
        """Read what there is for a batch, and wait for more if the worker was idle until now."""
        from ._batch_run import is_short

        accepted = self._running
        assert accepted is not None
        self._attempt(accepted, accepted.read)
        give_up = self._woken_ns + batching.max_wait_ns
        while is_short(first.connection, first, batching.size) and not self._ready:
            left = give_up - now_ns()
            if left <= 0:
                return
            selected = self._selector.select(left / 1e9)
            if any(key.data is not accepted for key, _ in selected):
                return
            self._attempt(accepted, accepted.read)

    def _turn(self, *, wait: bool, timeout: float | None = None) -> None:
        """Do what the sockets are ready for."""
        if self._is_full and timeout is None:
            timeout = FULL_SECONDS
        selected = self._selector.select(timeout if wait else 0)
        if self._is_full and now_ns() >= self._retry_at_ns:
            self._accept_again()
        for key, events in selected:
            accepted = key.data
            if accepted is None:
                if key.fileobj is self._listener.socket:
                    self._accept()
                else:
                    self._stop.clear()
            else:
                if events & EVENT_READ:
                    self._attempt(accepted, accepted.read)
                if events & EVENT_WRITE:
                    self._attempt(accepted, accepted.write)
                if accepted.has_work and accepted not in self._ready:
                    self._ready.append(accepted)

    def _accept(self) -> None:
        try:
            while (sock := self._listener.accept()) is not None:
                accepted = Accepted(sock, self._functions)
                self._accepted.add(accepted)
                self._selector.register(sock, EVENT_READ, accepted)
                self._was_full = False
        except OSError as error:
            # It would be ready again at once; wait until a connection or a file closes.
            if not self._was_full:
                print(f"pyproc: cannot accept a connection: {error.strerror}", file=sys.stderr)
            self._selector.unregister(self._listener.socket)
            self._is_full = self._was_full = True
            self._retry_at_ns = now_ns() + int(FULL_SECONDS * 1e9)

    def _write(self) -> None:
        """Write what is finished, and wait from now on for what each connection needs."""
        for accepted in list(self._accepted):
            self._attempt(accepted, accepted.write)
            if accepted.is_closed:
                continue
            if accepted.is_finished and not self._is_draining:
                accepted.say_goodbye()
                self._attempt(accepted, accepted.write)
                self._drop(accepted)
                continue
            events = EVENT_READ * accepted.wants_to_read + EVENT_WRITE * accepted.wants_to_write
            self._await(accepted, events)

    def _await(self, accepted: Accepted, events: int) -> None:
        key = self._selector.get_map().get(accepted.socket)
        if key is None and events:
            self._selector.register(accepted.socket, events, accepted)
        elif key is not None and not events:
            self._selector.unregister(accepted.socket)
        elif key is not None and key.events != events:
            self._selector.modify(accepted.socket, events, accepted)

    def _attempt(self, accepted: Accepted, action: Callable[[], None]) -> None:
        if accepted.is_closed:
            return
        try:
            action()
        except ProtocolError as error:
            print(f"pyproc: a host broke the protocol and is left: {error}", file=sys.stderr)
            self._drop(accepted)
        except OSError:
            self._drop(accepted)

    def _drop(self, accepted: Accepted) -> None:
        if accepted.is_closed:
            return
        if accepted.socket in self._selector.get_map():
            self._selector.unregister(accepted.socket)
        accepted.close()
        self._accepted.discard(accepted)
        for stream in accepted.take_streams():
            self._runner.abandon(stream)
        if self._is_full:
            self._accept_again()

    def _accept_again(self) -> None:
        self._is_full = False
        self._selector.register(self._listener.socket, EVENT_READ)

    def _drain(self) -> None:
        self._is_draining = True
        # What has arrived by now still counts as queued, also on connections that only wait.
        self._turn(wait=False)
        self._turn(wait=False)
        if not self._is_full:
            self._selector.unregister(self._listener.socket)
        self._is_full = False
        self._listener.close()
        for accepted in self._accepted:
            accepted.drain()

    def _abandon(self) -> None:
        """In a forked child, close what is the worker's, and leave its file alone."""
        self._listener.socket.close()
        for accepted in self._accepted:
            accepted.socket.close()
        self._selector.close()
