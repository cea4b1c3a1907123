"""Reads the first frame of a host, and the descriptors that travel beside it."""

from __future__ import annotations

import _socket
import os
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET

from ._handshake import Hello, Refusal
from ._protocol import (
    DEFAULT_MAX_FRAME,
    KIND_NAMES,
    Kind,
    ProtocolError,
    Status,
    parse_frame,
)
from ._splitter import Splitter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

# macOS has no such flag; there the descriptors are made uninheritable a moment later.
_CLOSE_ON_EXEC: int = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
_MAX_DESCRIPTORS = 8
_INT_BYTES = 4

LIFELINE = "lifeline"
STATE_PAGE = "state_page"
STACKS = "stacks"


def read_hello(sock: socket) -> tuple[Hello, dict[str, int]]:
    """Read the `Hello`, and the descriptors that come with it, by their names.

    Those whose names are not known are closed. Raises `Refusal`. Ends the process where the host
    is gone. Nothing after the `Hello` is read: a plain `recv` would drop the descriptors beside
    it, and `socket.recv_fds` makes them inheritable.
    """
    splitter = Splitter(DEFAULT_MAX_FRAME)
    wanted = 4
    descriptors: list[int] = []
    try:
        while True:
            data, found = _receive(sock, wanted)
            descriptors += found
            if not data:
                raise SystemExit("pyproc: the host closed the connection before its Hello")
            for payload in splitter.feed(data):
                kind, _, _, _, _, _, body = parse_frame(payload)
                if kind != Kind.HELLO:
                    message = f"the host begins with {KIND_NAMES[kind]}, not with HELLO"
                    raise ProtocolError(message)
                hello = Hello.parse(body)
                return hello, _sort(hello.descriptors, descriptors)
            wanted = splitter.missing
    except ProtocolError as error:
        raise Refusal(Status.INVALID_HELLO, str(error)) from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _receive(sock: socket, wanted: int) -> tuple[bytes, list[int]]:
    space = CMSG_SPACE(_MAX_DESCRIPTORS * _INT_BYTES)
    data, ancillary, _, _ = sock.recvmsg(wanted, space, _CLOSE_ON_EXEC)
    descriptors: list[int] = []
    for level, kind, content in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            whole = len(content) - len(content) % _INT_BYTES
            descriptors += memoryview(content[:whole]).cast("i")
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return data, descriptors


def _sort(names: list[str], descriptors: list[int]) -> dict[str, int]:
    """Take out the descriptors that are known, by their names."""
    if len(names) != len(descriptors):
        # The rest was lost on the way: a process may have only so many.
        raise Refusal(
            Status.INVALID_HELLO,
            f"the host sends {len(names)} descriptors, and {len(descriptors)} have arrived",
        )
    known: dict[str, int] = {}
    unknown = []
    for name, descriptor in zip(names, descriptors, strict=True):
        if name in (LIFELINE, STATE_PAGE, STACKS) and name not in known:
            known[name] = descriptor
        else:
            unknown.append(descriptor)
    descriptors[:] = unknown
    return known
