"""One call, as it arrived at the worker."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._connection import Connection
    from ._protocol import Metadata


class Request:
    """A call that waits for its turn, or runs."""

    __slots__ = (
        "body",
        "call",
        "connection",
        "deadline_ns",
        "function",
        "has_ended",
        "metadata",
        "reply_metadata",
    )

    call: int
    """Its id on the connection."""

    function: int | str
    """Which function is meant, by its index in the handshake's table or by its name."""

    body: Any
    """What the codec of the connection decodes."""

    deadline_ns: int | None
    """When it is no longer worth running, by CLOCK_MONOTONIC."""

    metadata: Metadata
    connection: Connection

    has_ended: bool
    """Whether its function has come to its end; said before it is looked whether it is watched."""

    reply_metadata: dict[str, str] | None
    """What goes back beside the result; `None` until somebody says so."""

    def __init__(
        self,
        connection: Connection,
        call: int,
        function: int | str,
        body: Any,
        deadline_ns: int | None = None,
        metadata: Metadata = (),
    ) -> None:
        self.connection = connection
        self.call = call
        self.function = function
        self.body = body
        self.deadline_ns = deadline_ns
        self.metadata = metadata
        self.has_ended = False
        self.reply_metadata = None
