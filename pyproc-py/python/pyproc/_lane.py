"""How the bytes of the one connection of a spawned worker travel."""

from __future__ import annotations

import select
from _socket import MSG_DONTWAIT
from _thread import allocate_lock, get_ident
from collections import deque
from os import sched_yield

from ._context import now_ns

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable

    from ._connection import Connection
    from ._signals import StopSignal
    from ._spin import Spin

TAKEN_NS = 20_000
"""A poll that takes longer was interrupted: the cores, or the interpreter, are wanted by others.

An answer from the same core takes less.
"""

MAX_UNWRITTEN_BYTES = 1024 * 1024
"""Of what other threads leave to the one that writes; more of it has to wait, or is lost."""


class Lane:
    """A blocking stream socket, read by the loop and written to by any thread."""

    def __init__(self, sock: socket, stop: StopSignal) -> None:
        self._socket = sock
        self._stop = stop
        self._unwritten: deque[bytes | memoryview] = deque()
        # Added to without a lock, so it may be a little off until nothing is unwritten.
        self._unwritten_bytes = 0
        self._writing = allocate_lock()
        self._writer: int | None = None
        self._wake: Callable[[], None] | None = None
        self.is_closed = False
        self._poll = select.poll()
        self._poll.register(sock.fileno(), select.POLLIN)
        self._stop_fileno = stop.fileno()
        self._poll.register(self._stop_fileno, select.POLLIN)

    def read(self, room: memoryview, spin: Spin) -> int | None:
        """Wait for bytes, put them into `room`, and return how many came.

        Returns 0 at the end of the stream, and `None` when a signal came first. A signal that
        arrives between a look at its flag and the wait would be lost to a plain `recv`, so the
        wait includes the descriptor that signals write to.
        """
        ready = self._wait(spin)
        if len(ready) == 1 and ready[0][0] == self._stop_fileno:
            self._stop.clear()
            return None
        return self._socket.recv_into(room)

    def read_within(self, room: memoryview, limit_ns: int) -> int | None:
        """Do the same, but for a time only; `None` when it is over, too."""
        # The system counts in milliseconds. What is left of them is waited for without sleeping.
        milliseconds = (limit_ns + 500_000) // 1_000_000
        ready = self._poll.poll(milliseconds)
        give_up = now_ns() + (0 if milliseconds else limit_ns)
        while not ready and now_ns() < give_up:
            sched_yield()
            ready = self._poll.poll(0)
        if len(ready) == 1 and ready[0][0] == self._stop_fileno:
            self._stop.clear()
        return self.read_now(room)

    def read_now(self, room: memoryview) -> int | None:
        """Put the bytes that are there into `room`, and return how many, or `None` for none."""
        try:
            return self._socket.recv_into(room, 0, MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def read_all(self, connection: Connection) -> None:
        """Give a connection all that is there. Raises `ProtocolError`."""
        count: int | None = 1
        while count is not None and not connection.has_ended:
            count = self.read_now(connection.room)
            connection.arrived(count)

    def _wait(self, spin: Spin) -> list[tuple[int, int]]:
        """Return what is readable as soon as anything is."""
        budget_ns = spin.budget_ns()
        ready = self._poll.poll(0) if budget_ns else []
        if budget_ns and not ready:
            ready = self._look(spin, budget_ns)
        return ready or self._poll.poll()

    def _look(self, spin: Spin, budget_ns: int) -> list[tuple[int, int]]:
        """Return what becomes readable within the budget, without going to sleep."""
        ready: list[tuple[int, int]] = []
        now = now_ns()
        give_up = now + budget_ns
        while now < give_up:
            # Whoever shares this core may be the one that is waited for.
            sched_yield()
            ready = self._poll.poll(0)
            before, now = now, now_ns()
            if now - before > TAKEN_NS:
                break
            if ready:
                spin.hit()
                return ready
        spin.miss()
        return ready

    @property
    def is_full(self) -> bool:
        """Whether so much is unwritten that what can be spared should be dropped.

        Never for the thread that writes, which cannot wait for itself.
        """
        return self._unwritten_bytes > MAX_UNWRITTEN_BYTES and self._writer != get_ident()

    def write(self, *pieces: bytes) -> None:
        """Write all of the pieces, never within what another thread writes.

        The thread that has the lock writes what the others leave. So nobody waits here for
        anybody while the lane is not full, and a signal handler or a destructor that logs while
        its own thread writes never does.
        """
        if self._wake is not None:
            self._unwritten.extend(pieces)
            self._unwritten_bytes += sum(map(len, pieces))
            self.write_now()
            return
        wait = False
        if not self._unwritten and self._writing.acquire(False):
            # As it is nearly always: nobody else writes, and nothing waits.
            try:
                self._writer = get_ident()
                for piece in pieces:
                    self._socket.sendall(piece)
            finally:
                self._writer = None
                self._writing.release()
        else:
            wait = self.is_full
            self._unwritten.extend(pieces)
            self._unwritten_bytes += sum(map(len, pieces))
        while self._unwritten and self._writing.acquire(wait):
            try:
                self._write_all()
            finally:
                self._writing.release()

    def never_wait(self, wake: Callable[[], None] | None) -> None:
        """Let `write` wait for nobody from now on: what the socket has no room for is left.

        Then `wake` is called, by whichever thread that happens in, so that `write_now` is when
        there is room. Without it, `write` waits again.
        """
        self._wake = wake

    @property
    def unwritten_bytes(self) -> int:
        """How much waits for room in the socket, about."""
        return self._unwritten_bytes

    def write_now(self) -> bool:
        """Write what is left as far as there is room, and return whether that was all."""
        while self._unwritten and self._writing.acquire(False):
            try:
                if not self._write_some():
                    break
            finally:
                self._writing.release()
        is_all = not self._unwritten
        if not is_all and self._wake is not None:
            self._wake()
        return is_all

    def fileno(self) -> int:
        """Return the descriptor of the socket."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this process's descriptor, after what is unwritten. Raises `OSError`."""
        with self._writing:
            try:
                self._write_all()
            finally:
                self.abandon()

    def abandon(self) -> None:
        """Close this process's descriptor at once; in a forked child nobody holds the lock."""
        self.is_closed = True
        self._unwritten.clear()
        self._socket.close()

    def _write_some(self) -> bool:
        """Write what there is room for, and return whether that was all."""
        while self._unwritten:
            data = self._unwritten.popleft()
            try:
                sent = self._socket.send(data, MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            self._unwritten_bytes -= sent
            if sent < len(data):
                self._unwritten.appendleft(memoryview(data)[sent:])
                return False
        self._unwritten_bytes = 0
        return True

    def _write_all(self) -> None:
        self._writer = get_ident()
        try:
            while self._unwritten:
                data = self._unwritten.popleft()
                self._unwritten_bytes -= len(data)
                self._socket.sendall(data)
            self._unwritten_bytes = 0
        finally:
            self._writer = None
