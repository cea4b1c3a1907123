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
        # A byte can become six in JSON, and the name of a logger takes room too.
        self._max_bytes = min(64 * 1024, max_bytes // 16)

    def emit(self, record: logging.LogRecord) -> None:
        if self._lane.is_closed:
            return
        try:
            import json

            entries = {
                "level": min(max(record.levelno, 0), 255),
                "logger": cut(record.name, self._max_bytes),
                "message": cut(self.format(record), self._max_bytes),
            }
            request = running_request.get()
            call = 0 if request is None else request.call
            self._lane.write(encode_frame(Kind.LOG, json.dumps(entries).encode(), call=call))
        except Exception:
            self.handleError(record)


def install(lane: Lane, level: int, max_bytes: int) -> None:
    """Send what is logged at `level` or above, through the root logger, from now on."""
    root = logging.getLogger()
    root.addHandler(HostHandler(lane, max_bytes))
    root.setLevel(level)
