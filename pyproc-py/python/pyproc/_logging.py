"""Sends the records of Python's `logging` to the host."""

from __future__ import annotations

import logging

from ._context import running_request
from ._failure import cut
from ._protocol import Kind, encode_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._lane import Lane


class HostHandler(logging.Handler):
    """Writes each record as a `Log` frame; a record that cannot be sent harms nobody."""

    def __init__(self, lane: Lane, max_bytes: int) -> None:
        super().__init__()
        self._lane = lane
        self._lost = 0
        # A byte can become six in JSON, and the name of a logger takes room too.
        self._max_bytes = min(64 * 1024, max_bytes // 16)

    def handle(self, record: logging.LogRecord) -> bool:
        # Without the lock of the base class, which nothing here needs: a call that is interrupted
        # as it takes it would never give it back.
        accepted = self.filter(record)
        if accepted:
            self.emit(accepted if isinstance(accepted, logging.LogRecord) else record)
        return bool(accepted)

    def emit(self, record: logging.LogRecord) -> None:
        if self._lane.is_closed:
            _print_warning(record)
            return
        if self._lane.is_full:
            self._lost += 1
            return
        try:
            request = running_request.get()
            call = 0 if request is None else request.call
            if self._lost:
                lost, self._lost = self._lost, 0
                message = f"{lost} log records were lost: the host read too slowly"
                self._send(logging.WARNING, __package__, message, call)
            self._send(record.levelno, record.name, self.format(record), call)
        except Exception:
            self.handleError(record)

    def _send(self, level: int, logger: str, message: str, call: int) -> None:
        import json

        entries = {
            "level": min(max(level, 0), 255),
            "logger": cut(logger, self._max_bytes),
            "message": cut(message, self._max_bytes),
        }
        self._lane.write(encode_frame(Kind.LOG, json.dumps(entries).encode(), call=call))


def _print_warning(record: logging.LogRecord) -> None:
    """Print a record of a process that has no host, such as a forked child, as `logging` would."""
    last = logging.lastResort
    if last is not None and record.levelno >= last.level:
        last.handle(record)


def install(lane: Lane, level: int, max_bytes: int) -> None:
    """Send what is logged at `level` or above, through the root logger, from now on."""
    root = logging.getLogger()
    handler = HostHandler(lane, max_bytes)
    # The root's level alone would not hold for a logger that has a level of its own.
    handler.setLevel(level)
    root.addHandler(handler)
    root.setLevel(level)
